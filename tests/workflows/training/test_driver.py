"""The one driver: who sees a report, in which order, and what is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import FaultError
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


def test_what_cannot_be_saved_ends_the_training(job: TrainingJob) -> None:
    Path(job.folder).mkdir()
    checkpoints = Checkpoints(f"{job.folder}/checkpoints")
    checkpoints.newest()
    Path(checkpoints.uri).write_text("a file where a folder should be")
    with pytest.raises(FaultError, match="checkpoints"):
        driven(job, checkpoints)
    assert not Path(job.folder, "weights.safetensors").exists()
