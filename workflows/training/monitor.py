"""What people see of a training: progress as text, and TensorBoard."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Self

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from infra import storage
from infra.errors import FacestackError, FaultError
from infra.nodes.terminal import leave
from infra.progress import Count
from workflows.shared.artifacts import HISTORY
from workflows.training.job import Panel

UNSAID = ("step", "loader_share", "gpu_memory_gib")  # in TensorBoard, not in the line of text


class Watch:
    """Text progress and TensorBoard events of one training of `steps` steps.

    It knows neither Ray nor the loop, which hands each report to `see`. Events lie in
    `folder`/events, local or s3://, under the stage's name: `train-f5` and `train-f1` share the
    charts train/loss, train/pixel, …. `panels` are pictures by name, `hyperparameters` what a
    search chose for this training (TensorBoard's HParams tab).
    """

    def __init__(
        self,
        name: str,
        folder: str,
        steps: int,
        panels: Mapping[str, Panel],
        hyperparameters: Mapping[str, float | bool] | None = None,
    ) -> None:
        self.name, self.steps, self.panels = name, steps, panels
        self.group = name.partition("-")[0]
        self.hyperparameters = dict(hyperparameters or {})
        self.uri = storage.join(folder, "events")
        self.writer: SummaryWriter | None = None
        self.history_uri = storage.join(folder, HISTORY)
        self.history: list[dict[str, float]] = []
        if storage.exists(self.history_uri):  # resumed: keep what came before the checkpoint
            self.history = storage.read_json(self.history_uri)
        if storage.is_local(self.uri):
            self.folder = Path(self.uri)
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="facestack-events-"))
        self.count: Count | None = None
        self.psnr: float | None = None  # of the last validation

    def see(self, scalars: dict[str, float], milestone: bool) -> None:
        """Show one report; at a milestone (saved or validated) pictures and history.json too."""
        step = int(scalars["step"])
        if torch.cuda.is_initialized():  # a GPU may be there for others
            scalars = scalars | {"gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30}
        self.history = [old for old in self.history if old["step"] < step] + [scalars]
        if self.writer is None:
            # What a lost worker wrote after its last checkpoint is struck out of the charts.
            self.writer = SummaryWriter(str(self.folder), purge_step=step)
            self._declare(self.writer)
        for name, value in scalars.items():
            if name != "step":
                self.writer.add_scalar(f"{self.group}/{name}", value, step)
        self._say(step, {n: v for n, v in scalars.items() if n not in UNSAID})
        if milestone:
            for name, panel in self.panels.items():
                self.writer.add_image(f"{self.group}/{name}", panel(), step, dataformats="HWC")
            self.writer.flush()
            self._hand_over()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        """Hand over what there is, however the training ended; its own error comes first."""
        try:
            # A storage that stays away is not waited for once more.
            self.close(hand_over=not isinstance(error, FaultError) or storage.is_local(self.uri))
        except (FacestackError, OSError):
            if error is None:
                raise

    def close(self, hand_over: bool = True) -> None:
        """Flush events and history, and leave nothing behind on this machine."""
        leave()
        try:
            if self.writer is not None:
                self.writer.close()
                if hand_over:
                    self._hand_over()
        finally:
            if not storage.is_local(self.uri):
                rmtree(self.folder, ignore_errors=True)

    def _declare(self, writer: SummaryWriter) -> None:
        """What the HParams tab lists; written first, since a stopped trial never sees its end."""
        if self.hyperparameters:
            metrics = dict.fromkeys((f"{self.group}/validation_psnr",
                                     f"{self.group}/validation_verification"))  # fmt: skip
            for summary in hparams(self.hyperparameters, metrics):
                writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def _say(self, step: int, shown: Mapping[str, float]) -> None:
        """A bar on a terminal, a line in a log; both say how long is left."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        self.psnr = shown.get("validation_psnr", self.psnr)
        told = {
            "loss": shown.get("loss"),
            "PSNR": self.psnr,
            "clips/s": shown.get("clips_per_second"),
        }
        short = ", ".join(
            f"{name} {value:.4g}" for name, value in told.items() if value is not None
        )
        self.count = self.count or Count(self.name, self.steps, "steps", begun=step)
        self.count.done(step, short, f"step {step}/{self.steps}  {text}")

    def _hand_over(self) -> None:
        if not storage.is_local(self.uri):
            storage.upload(self.folder, self.uri)
        storage.write_json(self.history_uri, self.history)
