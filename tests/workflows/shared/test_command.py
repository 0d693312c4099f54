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
from workflows.shared.command import main


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
