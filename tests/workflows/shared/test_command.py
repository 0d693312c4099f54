"""Exit status and last line of a command for each way in which a stage can end."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from datasets.shards.files import ShardError
from infra import cluster
from infra.errors import FaultError, RunError
from infra.runs import Run
from infra.settings.settings import Settings
from workflows.shared.command import _needs, main
from workflows.stages import STAGES


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RunError("clips: not completed"), 2, "error: clips: not completed"),
        (ShardError("a.parquet: damaged"), 2, "error: a.parquet: damaged"),
        (FaultError("disk: full"), 3, "error: disk: full"),
        (KeyError("low\nhigh"), 3, "error: stage train: KeyError: 'low\\nhigh'; traceback above"),
    ],
)
def test_errors_end_in_one_line(
    error: Exception, status: int, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def train(_: Settings, __: Run) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "workflows.training.restoration", SimpleNamespace(train=train))
    monkeypatch.setattr(sys, "argv", ["train.py", "--run", str(tmp_path / "run")])
    monkeypatch.setattr(cluster, "disconnect", lambda: None)
    assert main(["train"], "") == status
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1] == said
    # Only what nobody foresaw comes with a traceback.
    assert ("Traceback" in lines[0]) == isinstance(error, KeyError)
    assert len(lines) == 1 or isinstance(error, KeyError)


def test_a_run_at_work_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before the stage begins; and a driver gives the run up after it has left Ray,
    whose workers may write until then."""
    run, done = tmp_path / "run", []

    def train(_: Settings, __: Run) -> None:
        done.append("trained")
        assert main(["train"], "") == 2
        raise RunError("stopped")

    monkeypatch.setitem(sys.modules, "workflows.training.restoration", SimpleNamespace(train=train))
    monkeypatch.setattr(sys, "argv", ["train.py", "--run", str(run)])
    monkeypatch.setattr(cluster, "disconnect", lambda: done.append((run / "lease.json").exists()))
    assert main(["train"], "") == 2
    assert done == ["trained", True]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {run}: another command is at work there: train.py, process")
    assert not run.exists()


def test_what_each_stage_needs_is_asked_before_the_first(tmp_path: Path) -> None:
    """A row a stage: its name, and what it needs of nodes with settings of its own."""
    given = {
        "recogniser": {"gpus_per_worker": 0.5},
        "tune": {"cpus_per_trial": 2, "workers": 3},
        "train": {"workers": 2, "cpus_per_worker": 3, "gpus_per_worker": 1},
        "evaluate": {"gpus_per_worker": 0.25},
    }
    chosen, run = Settings(run=str(tmp_path), **given), Run(str(tmp_path))
    asked = {needs.stage: str(needs) for needs in _needs(list(STAGES.values()), chosen, run)}
    assert asked == {
        "preprocess": "1 CPU",
        "recogniser": "2 CPU and 0.5 GPU",
        "pretrain": "2 CPU",
        "tune": "3 × 2 CPU and 1 GPU",
        "train": "2 × 3 CPU and 1 GPU",
        "evaluate": "1 CPU and 0.25 GPU",
        "enhance": "1 CPU",
    }
    alone = Settings(engine="torch", recogniser={"weights": "vgg.pth"})
    stages = [needs.stage for needs in _needs(list(STAGES.values()), alone, run)]
    assert stages == ["preprocess", "tune", "enhance"]
