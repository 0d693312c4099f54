"""Checkpoints are whole or absent; the last and the best stay; a full disk harms none before it."""

import math
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from infra.errors import FaultError, TrainingError
from infra.training.checkpoints import Checkpoints, Mark, best_of
from infra.training.engine import Objective
from infra.training.loop import train
from infra.training.plan import Plan
from infra.training.torch_engine import TorchEngine


def mark(step: int, score: float | None = None, world_size: int = 1) -> Mark:
    return Mark(
        step=step, world_size=world_size, score=score, scalars={"step": step}, fingerprint="f",
        seed=0, shards=["a.parquet"], versions={},
    )  # fmt: skip


def save(checkpoints: Checkpoints, about: Mark, size: int = 10) -> None:
    """As the loop does it: in a folder that is gone as soon as `save` returns."""
    folder = Path(checkpoints.uri).parent / f"made-{checkpoints.rank}-{about.step}"
    (folder / "engine").mkdir(parents=True)
    (folder / f"engine/weights-{checkpoints.rank}").write_bytes(bytes([about.step]) * size)
    checkpoints.save(folder, about)
    folder.rmdir()
    checkpoints.wait()


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(str(tmp_path / "checkpoints"))


def steps(checkpoints: Checkpoints) -> list[int]:
    return [found.step for found in checkpoints.complete()]


def test_none_at_first(checkpoints: Checkpoints) -> None:
    assert checkpoints.complete() == []
    assert checkpoints.newest() is None
    with checkpoints.files(None) as folder:
        assert folder is None


def test_last_and_best_are_kept(checkpoints: Checkpoints) -> None:
    for step, score in enumerate([None, 20.0, 24.0, 23.0, None, 22.0], start=1):
        save(checkpoints, mark(step, score))
    assert steps(checkpoints) == [3, 6]
    folders = sorted(path.name for path in Path(checkpoints.uri).iterdir())
    assert folders == ["step-00000003", "step-00000006"]


def test_a_score_that_is_no_number_is_never_the_best(checkpoints: Checkpoints) -> None:
    for step, score in enumerate([math.nan, 20.0, math.nan, 19.0], start=1):
        save(checkpoints, mark(step, score))
    assert steps(checkpoints) == [2, 4]
    assert checkpoints.best() == 2
    assert best_of([mark(1, math.nan), mark(2, -1.0)]) == mark(2, -1.0)


def test_files_come_back_as_they_were_saved(checkpoints: Checkpoints) -> None:
    save(checkpoints, mark(7, 21.5))
    found = checkpoints.at(7)
    assert found == mark(7, 21.5)
    with checkpoints.files(found) as folder:
        assert folder is not None
        assert (folder / "engine/weights-0").read_bytes() == bytes([7]) * 10


def test_what_one_of_two_workers_did_not_finish_does_not_count(checkpoints: Checkpoints) -> None:
    other = Checkpoints(checkpoints.uri, rank=1)
    for worker in (checkpoints, other):
        save(worker, mark(2, world_size=2))
    save(checkpoints, mark(4, world_size=2))
    assert steps(checkpoints) == [2]
    assert checkpoints.newest() == 2
    # The marks of workers that are gone must not complete what others write under that step.
    save(other, mark(4, world_size=2))
    assert steps(checkpoints) == [2]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to write more than `size` bytes to a file, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_refuses_is_named_and_the_one_before_stays(checkpoints: Checkpoints) -> None:
    save(checkpoints, mark(2))
    folder = Path(checkpoints.uri).parent / "made"
    folder.mkdir()
    (folder / "weights").write_bytes(bytes(100_000))
    with largest_file(50_000):
        checkpoints.save(folder, mark(4))
        with pytest.raises(FaultError, match=r"step-00000004/weights: cannot be written: File too"):
            checkpoints.wait()
    assert steps(checkpoints) == [2]
    assert not (Path(checkpoints.uri) / "step-00000004").exists()


def test_a_checkpoint_in_object_storage_that_is_refused_is_named_as_it_is_there(
    tmp_path: Path,
) -> None:
    """And not by its temporary copy, which is gone by then."""
    checkpoints = Checkpoints("memory://refused/checkpoints")
    (tmp_path / "weights").write_bytes(b"w")
    checkpoints.save(tmp_path, mark(2))
    checkpoints.wait()
    with (
        pytest.raises(TrainingError, match=r"^memory://refused/checkpoints/step-00000002: no"),
        checkpoints.files(mark(2)) as folder,
    ):
        raise TrainingError(f"{folder}: not opened")


class Small(Objective):
    """Something to train whose checkpoint is longer than a kilobyte."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(1, 1000)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": self.network(batch["x"]).square().mean()}


def test_a_temporary_folder_without_room_is_named() -> None:
    """Where the engine writes first, before the checkpoint is taken to its place."""
    rows = iter([{"x": np.ones((1, 1), np.float32)}])
    plan = Plan(steps=1, batch_size=1, learning_rate=0.1)
    engine = TorchEngine(Small())
    with largest_file(1000), pytest.raises(FaultError, match=r"tmp.*step 1 cannot be written"):
        train(engine, lambda _: rows, lambda *_: None, plan)


def test_a_failed_upload_is_told_at_the_next_look(checkpoints: Checkpoints) -> None:
    Path(checkpoints.uri).write_text("a file where a folder should be")
    with pytest.raises(FaultError):
        save(checkpoints, mark(2))
    checkpoints.check()  # told once
