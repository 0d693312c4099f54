"""A trial with workers of its own, when one of them is lost. No Ray is started."""

from pathlib import Path

import pytest

from infra.errors import FaultError
from tests.support.small_jobs import work
from workflows.search import trial
from workflows.training.job import TrainingJob
from workflows.training.ray_train import LostWorkerError


@pytest.mark.parametrize(
    ("ends", "tried"),
    [
        ([None], 1),
        ([LostWorkerError("lost"), None], 2),
        ([LostWorkerError("lost"), LostWorkerError("lost"), LostWorkerError("lost")], 3),
        ([FaultError("no space is left")], 1),
    ],
)
def test_a_lost_worker_begins_the_trial_anew_and_never_its_controller(
    ends: list[Exception | None], tried: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that is about to go, since Tune has ended its trial, must ask for nothing."""
    jobs: list[TrainingJob] = []

    def fit(job: TrainingJob) -> None:
        jobs.append(job)
        if (error := ends[len(jobs) - 1]) is not None:
            raise error

    monkeypatch.setattr(trial, "fit", fit)
    job = work(tmp_path, [], max_failures=2)
    if ends[-1] is None:
        trial._fit_by_workers(job)
    else:
        with pytest.raises(type(ends[-1])):
            trial._fit_by_workers(job)
    assert len(jobs) == tried
    assert {job.options.max_failures for job in jobs} == {0}
