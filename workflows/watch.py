"""What a training shows: lines of text, TensorBoard events, history.json for the report."""

import tempfile
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from infra import storage
from workflows.jobs import Job, Work


class Watch:
    """Text progress and TensorBoard events of one training; an upload at each checkpoint."""

    def __init__(self, work: Work, job: Job) -> None:
        self.work = work
        self.job = job
        self.uri = storage.join(work.folder, "events")
        if storage.is_local(self.uri):
            self.folder = Path(self.uri)
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="facestack-events-"))
        self.writer = SummaryWriter(str(self.folder))
        self.history_uri = storage.join(work.folder, "history.json")
        self.history: list[dict[str, float]] = []
        if storage.exists(self.history_uri):  # resumed: keep what came before the checkpoint
            self.history = storage.read_json(self.history_uri)

    def see(self, scalars: dict[str, float], saved: bool) -> None:
        """Show one report; history.json holds all of them for the figures of the report."""
        step = int(scalars["step"])
        self.history = [old for old in self.history if old["step"] < step] + [scalars]
        for name, value in scalars.items():
            if name != "step":
                self.writer.add_scalar(f"{self.work.name}/{name}", value, step)
        shown = {n: v for n, v in scalars.items() if n not in ("step", "loader_share")}
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(f"[{self.work.name}] step {step}/{self.work.plan.steps}  {text}", flush=True)
        if saved:
            if self.job.panel is not None:
                self.writer.add_image("panel", self.job.panel(), step, dataformats="HWC")
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
