"""The run that the tests of trainings share; each has its own copy of what comes before `train`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.runs import Run
from tests.support.root import ROOT
from tests.support.tiny_training import TINY, write_shards

WITHOUT = """
import sys
for name in ("ray", "deepspeed"):
    sys.modules[name] = None  # importing it raises ImportError
sys.path.insert(0, {root!r})
from workflows.shared.command import main
for stage in ("recogniser", "pretrain", "train"):
    sys.argv = [stage, "--config", {config!r}, "--run", {run!r}]
    assert main([stage], "") == 0
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose clips were drawn here, and all of whose training stages ran without Ray."""
    folder = tmp_path_factory.mktemp("local")
    run = Run(str(folder / "run"))
    with run.stage("preprocess", "clips", {}, []) as stage:
        assert stage is not None
        write_shards(run, "train", 16)
        write_shards(run, "validation", 8)
    config = folder / "tiny.yaml"
    config.write_text(json.dumps(TINY))
    program = WITHOUT.format(root=str(ROOT), config=str(config), run=run.uri)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture
def ready(trained: Run, tmp_path: Path) -> Run:
    """A copy of it that has its stages before train."""
    for folder in ("clips", "recogniser", "pretrain"):
        shutil.copytree(trained.path(folder), tmp_path / "run" / folder)
    return Run(str(tmp_path / "run"))
