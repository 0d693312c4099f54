"""SIGKILL of a command with all its processes: the same command goes on, and nothing is lost."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from infra.checkpoints import Checkpoints
from tests.integration.conftest import CLIPS_A_VIDEO, TINY, VIDEOS, Ended, run, run_and_kill


def clips(folder: Path) -> dict[str, str]:
    """Clip id → hash of its pixels; fails where an id comes twice."""
    found: dict[str, str] = {}
    for path in sorted((folder / "clips").glob("*/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            assert row["clip_id"] not in found
            content = bytes(row["low"]) + bytes(row["high"]) + path.parent.name.encode()
            found[row["clip_id"]] = hashlib.sha256(content).hexdigest()
    return found


def test_preprocess_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = ("preprocess.py", "--config", TINY, "--run", folder)
    parts = folder / "clips/parts"
    run_and_kill(lambda: len(list(parts.glob("*.json"))) >= 5, *arguments)
    assert 5 <= len(list(parts.glob("*.json"))) < VIDEOS, "killed too late to show anything"
    assert not (folder / "clips/stage.json").exists()

    assert run(*arguments).status == 0
    whole = clips(folder)
    assert len(whole) == VIDEOS * CLIPS_A_VIDEO
    assert whole == clips(tiny[0]), "the clips differ from those of an uninterrupted run"


def test_train_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """In a copy of the whole run, whose training is done again, longer, and killed."""
    folder = tmp_path / "killed"
    shutil.copytree(tiny[0], folder)
    shutil.rmtree(folder / "train")
    arguments = ("train.py", "--config", TINY, "--run", folder, "--train.steps", 60,
                 "--train.variants", '["f1"]')  # fmt: skip
    marks = folder / "train/f1/checkpoints"
    run_and_kill(
        lambda: any(p.parent.name >= "step-00000012" for p in marks.glob("step-*/mark-0.json")),
        *arguments,
    )
    assert not (folder / "train/f1/stage.json").exists()
    reached = Checkpoints(str(marks)).complete()[-1].step
    assert 12 <= reached < 60, "killed too late to show anything"

    ended = run(*arguments)
    assert ended.status == 0
    assert "[train] was cut off, goes on" in ended.output
    assert f"[train-f1] step {reached}/60" not in ended.output, "it did not resume at the newest"
    steps = [row["step"] for row in json.loads((folder / "train/f1/history.json").read_text())]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
