"""SIGKILL in the middle of preprocess and of train: the rerun finishes, no clip lost or doubled."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

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


def test_killed_twice(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = ("full.py", "--config", TINY, "--run", folder, "--train.steps", 60)
    parts = folder / "clips/parts"

    run_and_kill(lambda: len(list(parts.glob("*.json"))) >= 5, *arguments)
    done = {path: path.stat().st_mtime_ns for path in parts.glob("*.json")}
    assert 5 <= len(done) < VIDEOS, "killed too late to show anything"
    assert not (folder / "clips/stage.json").exists()

    history = folder / "train/f1/history.json"

    def four_checkpoints_later() -> bool:
        # The report before the kill may be lost, so the kill waits for several.
        return history.exists() and json.loads(history.read_text())[-1]["step"] >= 12

    run_and_kill(four_checkpoints_later, *arguments)
    assert (folder / "clips/stage.json").exists()
    assert not (folder / "train/f1/stage.json").exists()
    whole = clips(folder)
    assert len(whole) == VIDEOS * CLIPS_A_VIDEO
    assert whole == clips(tiny[0]), "the clips differ from those of an uninterrupted run"

    ended = run(*arguments)
    assert ended.status == 0
    assert "[preprocess] complete since" in ended.output
    assert "[train] was cut off, goes on" in ended.output
    steps = [row["step"] for row in json.loads(history.read_text())]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
    assert "[train-f1] step 1/60" not in ended.output, "it began anew instead of resuming"
    assert (folder / "enhanced/stage.json").exists()
