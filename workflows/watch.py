"""What people see of a training: a line of text at each report, and TensorBoard."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from infra import storage

Panel = Callable[[], NDArray[np.uint8]]  # H×W×3 picture


class Watch:
    """Text progress and TensorBoard events of one training; an upload at each checkpoint.

    It knows neither Ray nor the loop: a training of `steps` steps called `name` hands each report
    to `see`. Events lie in `folder`/events, local or s3://; `panels` are pictures by name.
    """

    def __init__(self, name: str, folder: str, steps: int, panels: Mapping[str, Panel]) -> None:
        self.name, self.steps, self.panels = name, steps, panels
        self.uri = storage.join(folder, "events")
        if storage.is_local(self.uri):
            self.folder = Path(self.uri)
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="facestack-events-"))
        self.writer = SummaryWriter(str(self.folder))
        self.history_uri = storage.join(folder, "history.json")
        self.history: list[dict[str, float]] = []
        if storage.exists(self.history_uri):  # resumed: keep what came before the checkpoint
            self.history = storage.read_json(self.history_uri)

    def see(self, scalars: dict[str, float], saved: bool) -> None:
        """Show one report; history.json holds all of them for the figures of the report."""
        step = int(scalars["step"])
        self.history = [old for old in self.history if old["step"] < step] + [scalars]
        for name, value in scalars.items():
            if name != "step":
                self.writer.add_scalar(f"{self.name}/{name}", value, step)
        shown = {n: v for n, v in scalars.items() if n not in ("step", "loader_share")}
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(f"[{self.name}] step {step}/{self.steps}  {text}", flush=True)
        if saved:
            for name, panel in self.panels.items():
                self.writer.add_image(name, panel(), step, dataformats="HWC")
            self.writer.flush()
            self._upload()
            storage.write_json(self.history_uri, self.history)

    def close(self) -> None:
        """Flush and hand the events over."""
        self.writer.close()
        self._upload()

    def _upload(self) -> None:
        if not storage.is_local(self.uri):
            storage.upload(self.folder, self.uri)
