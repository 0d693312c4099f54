"""SIGKILL of a command with all its processes: the same command goes on, and nothing is lost."""

import json
import shutil
from pathlib import Path

from infra.training.checkpoints import Checkpoints
from tests.integration.conftest import (
    CLIPS_A_VIDEO,
    TINY,
    VIDEOS,
    Ended,
    content_of,
    planted,
    run,
    run_and_kill,
    run_and_kill_worker,
    stamps,
)


def test_preprocess_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """First all of it, then a worker of the rerun: that one ends well, redoes only what is missing,
    and gives the clips of an undisturbed run."""
    folder = tmp_path / "killed"
    arguments = ("preprocess.py", "--config", TINY, "--run", folder)
    parts = folder / "clips/parts"
    run_and_kill(lambda: len(list(parts.glob("*.json"))) >= 5, *arguments)
    done = stamps(parts.glob("*.json"))
    assert 5 <= len(done) < VIDEOS, "killed too late to show anything"
    assert not (folder / "clips/stage.json").exists()
    planted(folder / "clips")

    def went_on() -> bool:
        assert stamps(done) == done, "made again"
        return len(list(parts.glob("*.json"))) > len(done)

    assert run_and_kill_worker(went_on, r"ray::Map(Batches)?\(", *arguments).status == 0
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
