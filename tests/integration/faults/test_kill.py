"""SIGKILL of a command with all its processes: the same command goes on, and nothing is lost."""

import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from infra.training.checkpoints import Checkpoints
from tests.integration.conftest import (
    CLIPS_A_VIDEO,
    TINY,
    VIDEOS,
    Ended,
    content_of,
    run,
    run_and_kill,
)


def busy_worker(folder: Path) -> int | None:
    """The process of a worker that is reading a video for the run in `folder`."""
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith("ray::Map("):
            try:
                parents = [part for parent in process.parents() for part in parent.cmdline()]
            except psutil.Error:
                continue
            if str(folder) in parents:
                return process.pid
    return None


def test_preprocess_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """First all of it, then a worker of the rerun: that one ends well, redoes only what is missing,
    and gives the clips of an undisturbed run."""
    folder = tmp_path / "killed"
    arguments = ("preprocess.py", "--config", TINY, "--run", folder)
    parts = folder / "clips/parts"
    run_and_kill(lambda: len(list(parts.glob("*.json"))) >= 5, *arguments)
    done = {path: path.stat().st_mtime_ns for path in parts.glob("*.json")}
    assert 5 <= len(done) < VIDEOS, "killed too late to show anything"
    assert not (folder / "clips/stage.json").exists()
    left = folder / "clips/train/.0123456789abcdef0123456789abcdef.tmp"  # as a kill may leave it
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half a shard")

    with ThreadPoolExecutor(1) as pool:
        rerun = pool.submit(run, *arguments)
        while not rerun.done() and (worker := busy_worker(folder)) is None:
            time.sleep(0.02)
        assert not rerun.done(), "no worker was seen at work"
        assert {path: path.stat().st_mtime_ns for path in done} == done, "made again"
        os.kill(worker, signal.SIGKILL)
        assert rerun.result().status == 0
    content = content_of(folder)
    assert len(content) == VIDEOS * CLIPS_A_VIDEO
    assert content == content_of(tiny[0]), "the clips differ from those of an undisturbed run"
    assert list((folder / "clips").rglob(".*")) == []


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
    linear = folder / "train/f1/linear.safetensors"
    fitted = linear.stat().st_mtime_ns

    ended = run(*arguments)
    assert ended.status == 0
    assert linear.stat().st_mtime_ns == fitted, "the linear restoration was fitted again"
    assert "[train] was cut off, goes on" in ended.output
    assert f"[train-f1] step {reached}/60" not in ended.output, "it did not resume at the newest"
    steps = [row["step"] for row in json.loads((folder / "train/f1/history.json").read_text())]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
