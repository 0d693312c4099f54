"""What an error in a Ray worker becomes: no restart where it would come again, and one line.

Ray is imported and not started; what crosses its processes is pickled here as it is there.
"""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError
from ray.train import FailureConfig, WorkerGroupError
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2._internal.util import construct_user_exception_with_traceback
from ray.train.v2.api.exceptions import TrainingFailedError

from datasets.shards.files import ShardError
from infra.errors import FacestackError, FaultError, TrainingError
from tests.support.small_jobs import work
from workflows.training import ray_train
from workflows.training.ray_train import Restarts, fit


def crossed(error: Exception) -> Exception:
    """As it arrives in another process."""
    return pickle.loads(pickle.dumps(error))


def raised_in_worker(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return crossed(construct_user_exception_with_traceback(caught))


def end(failures: dict[int, Exception]) -> tuple[FailureDecision, TrainingFailedError]:
    """What Ray Train's controller decides, with a restart left, and what the driver is handed."""
    try:
        Restarts("train-f1").after_exception(None, failures)
        error: TrainingFailedError = WorkerGroupError("lost", failures)
    except TrainingFailedError as ours:
        error = ours
    return DefaultFailurePolicy(FailureConfig(max_failures=1)).make_decision(error), error


def fail(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def trainer(*_: object, **__: object) -> SimpleNamespace:
        def raise_it() -> None:
            raise crossed(error)

        return SimpleNamespace(fit=raise_it)

    monkeypatch.setattr(ray_train, "TorchTrainer", trainer)


@pytest.mark.parametrize(
    "error", [TrainingError("step 3: the loss is nan"), FaultError("disk: full"), ShardError("bad")]
)
def test_ours_end_the_training_and_reach_the_driver(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, told = end({1: raised_in_worker(error)})
    assert decision == FailureDecision.RAISE
    fail(told, monkeypatch)
    with pytest.raises(type(error)) as raised:
        fit(work(tmp_path, []))
    assert str(raised.value) == str(error)


def test_lost_workers_are_replaced_as_often_as_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decision, told = end({0: ActorDiedError()})
    assert decision == FailureDecision.RETRY
    assert "[train-f1] worker 0 was lost (ActorDiedError: The actor died" in capsys.readouterr().out
    fail(told, monkeypatch)
    with pytest.raises(FaultError, match="lost once more than max_failures 1 allows") as raised:
        fit(work(tmp_path, []))
    assert "\n" not in str(raised.value)


def test_what_nobody_foresaw_keeps_the_traceback_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, told = end({0: raised_in_worker(KeyError("low"))})
    assert decision == FailureDecision.RETRY
    fail(told, monkeypatch)
    with pytest.raises(KeyError, match="low") as raised:
        fit(work(tmp_path, []))
    assert not isinstance(raised.value, FacestackError)
    assert "raised_in_worker" in raised.value.__notes__[0]
