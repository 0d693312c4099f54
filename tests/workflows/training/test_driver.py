"""The one driver: who sees a report, in which order, and what is kept."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from infra import storage
from infra.errors import FaultError, TrainingError
from infra.training.checkpoints import Checkpoints
from infra.training.torch_engine import TorchEngine
from tests.support.small_jobs import EVERY, STEPS, work, write_shards
from workflows.training.driver import drive, trainee_of, validations
from workflows.training.job import TrainingJob
from workflows.training.monitor import Watch


@pytest.fixture
def job(tmp_path: Path) -> Iterator[TrainingJob]:
    yield work(tmp_path / "run", write_shards(tmp_path))


def driven(job: TrainingJob, *given: Any) -> dict[str, float]:
    trainee = trainee_of(job)
    return drive(job, trainee, TorchEngine(trainee.objective, job.options), *given)


def test_a_report_is_shown_saved_and_then_told(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def noted(kind: type, name: str) -> None:
        does = getattr(kind, name)

        def note(self: Any, *given: Any) -> None:
            if name != "check":
                step = given[0]["step"] if name == "see" else given[1].step
                seen.append((name, step))
            else:
                seen.append((name, 0))
            does(self, *given)

        monkeypatch.setattr(kind, name, note)

    noted(Watch, "see")
    noted(Checkpoints, "save")
    noted(Checkpoints, "check")
    told = validations(lambda scalars: seen.append(("told", int(scalars["step"]))))
    checkpoints = Checkpoints(f"{job.folder}/checkpoints")
    assert driven(job, checkpoints, [told])["step"] == STEPS
    assert seen[:7] == [("check", 0), ("see", 1), ("check", 0), ("see", 2), ("save", 2),
                        ("check", 0), ("see", 3)]  # fmt: skip
    assert [step for what, step in seen if what == "told"] == [EVERY, STEPS]
    assert seen[-4:] == [("check", 0), ("see", STEPS), ("save", STEPS), ("told", STEPS)]
    assert Path(job.folder, "weights.safetensors").exists()
    # What is complete has nothing left to do, and says how it ended.
    assert driven(job, Checkpoints(f"{job.folder}/checkpoints"))["step"] == STEPS


def test_without_checkpoints_nothing_is_kept(job: TrainingJob) -> None:
    assert driven(job)["step"] == STEPS
    assert {path.name for path in Path(job.folder).iterdir()} == {"events", "history.json"}


@pytest.mark.parametrize("place", ["disk", "storage"])
@pytest.mark.parametrize(
    "how", [None, KeyboardInterrupt(), TrainingError("NaN"), FaultError("lost")]
)
def test_whatever_ends_a_training_what_was_seen_is_there_and_nothing_lies_about(
    how: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In step 4: the last checkpoint is that of step 2, with which history was written before."""

    def fault(call: int) -> None:
        if how is not None and call == 4:
            raise how

    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    folder = str(tmp_path / "run") if place == "disk" else f"memory://{tmp_path}/run"
    begun, threads = work(folder, write_shards(tmp_path), fault=fault), threading.enumerate()
    with nullcontext() if how is None else pytest.raises(type(how)):
        driven(begun, Checkpoints(f"{folder}/checkpoints"))
    assert list(scratch.iterdir()) == []
    left = set(threading.enumerate()) - set(threads)
    assert not [thread for thread in left if "checkpoint" in thread.name]
    # A storage that may be why is not asked once more: what it has is that of the checkpoint.
    lost = place == "storage" and isinstance(how, FaultError)
    seen = list(range(1, STEPS + 1 if how is None else 3 if lost else 4))
    assert [row["step"] for row in storage.read_json(f"{folder}/history.json")] == seen
    storage.download(f"{folder}/events", tmp_path / "events")
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [event.step for event in events.Scalars("small/loss")] == seen


def test_what_cannot_be_saved_ends_the_training(job: TrainingJob) -> None:
    Path(job.folder).mkdir()
    checkpoints = Checkpoints(f"{job.folder}/checkpoints")
    checkpoints.newest()
    Path(checkpoints.uri).write_text("a file where a folder should be")
    with pytest.raises(FaultError, match="checkpoints"):
        driven(job, checkpoints)
    assert not Path(job.folder, "weights.safetensors").exists()
