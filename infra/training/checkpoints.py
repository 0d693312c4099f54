"""The checkpoints of one training: written in the background, whole or not at all, last and best.
What is in them is the engine's affair (`save` in torch_engine.py and deepspeed_engine.py).

    <uri>/step-00000120/…             what the engines of all workers saved
    <uri>/step-00000120/mark-0.json   written after worker 0's files; worker 1 writes mark-1.json …

A checkpoint counts when every worker's mark is there. So whatever is killed, fills up or goes away
in the middle of one, the one before it stays good, and no file has to be rewritten to say so.
"""

import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from pydantic import BaseModel, ConfigDict

from infra import storage
from infra.errors import FacestackError, TrainingError


class Mark(BaseModel):
    """What a checkpoint is of; the engine's files hold the weights and the rows seen."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    step: int
    world_size: int
    score: float | None  # of the validation by which the best is told, where there was one
    scalars: dict[str, float]
    fingerprint: str  # of the stage's settings and inputs
    seed: int  # with `shards` it decides the order of the rows
    shards: list[str]
    versions: dict[str, str]


class Checkpoints:
    """The checkpoints below a URI, as one worker of a training sees them."""

    def __init__(self, uri: str, rank: int = 0) -> None:
        self.uri = uri
        self.rank = rank
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.upload: Future[None] | None = None

    def complete(self) -> list[Mark]:
        """The checkpoints that can be resumed from, oldest first."""
        found: dict[str, set[str]] = {}
        for file in storage.files(self.uri, ".json"):
            folder, name = self._below(file)
            found.setdefault(folder, set()).add(name)
        marks = []
        for folder, names in sorted(found.items()):
            if "mark-0.json" in names:
                mark = self._mark(folder)
                if names >= {f"mark-{rank}.json" for rank in range(mark.world_size)}:
                    marks.append(mark)
        return marks

    def newest(self) -> int | None:
        """The step of the newest checkpoint; worker 0 alone asks, before any worker saves.

        What workers that are gone left half done is removed, lest their marks be taken for those
        of the workers that come now.
        """
        marks = self.complete()
        self._keep({_name(mark.step) for mark in marks})
        return marks[-1].step if marks else None

    def best(self) -> int | None:
        """The step of the checkpoint with the best validation, the later one of equals."""
        found = best_of(self.complete())
        return None if found is None else found.step

    def at(self, step: int) -> Mark:
        """What the checkpoint of a step is of."""
        return self._mark(_name(step))

    @contextmanager
    def files(self, mark: Mark | None) -> Iterator[Path | None]:
        """A local folder with all files of a checkpoint; None for none."""
        if mark is None:
            yield None
            return
        uri = storage.join(self.uri, _name(mark.step))
        if storage.is_local(uri):
            yield Path(uri)
            return
        with tempfile.TemporaryDirectory() as folder:
            storage.download(uri, Path(folder))
            try:
                yield Path(folder)
            except TrainingError as error:  # the copy it names is gone
                raise TrainingError(str(error).replace(folder, uri)) from error

    def save(self, folder: Path, mark: Mark) -> None:
        """Take this worker's files over from `folder` and upload them while training goes on.

        Waits for the upload before it, and raises what went wrong with that one.
        """
        self.wait()
        taken = Path(tempfile.mkdtemp(prefix="facestack-checkpoint-"))
        for file in list(folder.iterdir()):
            file.rename(taken / file.name)
        self.upload = self.thread.submit(self._upload, taken, mark)

    def check(self) -> None:
        """Raise what went wrong with an upload that has ended."""
        if self.upload is not None and self.upload.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the upload at work; raises FaultError where it failed."""
        upload, self.upload = self.upload, None
        if upload is not None:
            upload.result()

    def close(self) -> None:
        """Wait for the last upload, and end the thread; raises FaultError where it failed."""
        try:
            self.wait()
        finally:
            self.thread.shutdown()

    def _upload(self, taken: Path, mark: Mark) -> None:
        uri = storage.join(self.uri, _name(mark.step))
        try:
            storage.upload(taken, uri)
            storage.write_bytes(
                storage.join(uri, f"mark-{self.rank}.json"), mark.model_dump_json().encode()
            )
        except FacestackError:
            with suppress(FacestackError, OSError):
                storage.remove(uri)  # half a checkpoint on a full disk is of no use
            raise
        finally:
            rmtree(taken, ignore_errors=True)
        if self.rank == 0:
            marks = self.complete()
            kept = (*marks[-1:], best_of(marks))
            self._keep({_name(found.step) for found in kept if found}, mark.step)

    def _keep(self, names: set[str], before: int | None = None) -> None:
        """Remove all other checkpoints, or only those of steps before one."""
        found = {self._below(file)[0] for file in storage.files(self.uri)}
        for folder in sorted(found - names):
            if folder.startswith("step-") and (before is None or folder < _name(before)):
                storage.remove(storage.join(self.uri, folder))

    def _mark(self, folder: str) -> Mark:
        content = storage.read_bytes(storage.join(self.uri, folder, "mark-0.json"))
        return Mark.model_validate_json(content)

    def _below(self, file: str) -> tuple[str, str]:
        """The first folder below the URI that holds a file, and the file's place in it."""
        folder, _, name = file.removeprefix(self.uri + "/").partition("/")
        return folder, name


def best_of(marks: list[Mark]) -> Mark | None:
    """The one with the highest score, the last of equals; None where none was validated.

    NaN, which compares with nothing, is the lowest.
    """
    scored = [
        (-math.inf if math.isnan(mark.score) else mark.score, mark.step, mark)
        for mark in marks
        if mark.score is not None
    ]
    return max(scored, key=lambda item: item[:2])[2] if scored else None


def _name(step: int) -> str:
    return f"step-{step:08d}"
