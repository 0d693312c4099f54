"""The search: trials side by side on two cores, a killed and a stopped driver that goes on."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from infra import storage
from tests.integration.conftest import TINY, Ended, run, run_and_signal
from tests.support.search_state import ended_trials


def test_a_state_that_is_replaced_while_it_is_read_is_not_there_yet(tmp_path: Path) -> None:
    """A name that leads nowhere is listed, and its reading finds nothing."""
    search = tmp_path / "tune/search"
    search.mkdir(parents=True)
    gone = search / "experiment_state-2.json"
    gone.symlink_to(tmp_path / "gone")
    assert ended_trials(tmp_path) == 0
    status = json.dumps(json.dumps({"status": "TERMINATED"}))
    (search / "experiment_state-1.json").write_text(status)
    assert ended_trials(tmp_path) == 1


def make_ready(tiny: tuple[Path, Ended], run: str) -> None:
    """Make a run whose next stage is tune."""
    for stage in ("clips", "recogniser", "pretrain"):
        storage.upload(tiny[0] / stage, f"{run}/{stage}")


def killed_alone(process: "subprocess.Popen[str]") -> None:
    process.kill()


def stopped(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)


@pytest.mark.usefixtures("reached")
def test_killed_then_stopped_then_finished_in_object_storage(
    tiny: tuple[Path, Ended], bucket: tuple[Path, dict[str, str]]
) -> None:
    ready, there = bucket[0] / "search", "s3://archive/search"
    make_ready(tiny, there)
    arguments = ("--config", TINY, "--run", there,
                 "--tune.trials", 3, "--tune.concurrent", 1, "--tune.metric", "both",
                 "--tune.warp", "true,false",
                 "--tune.learning-rate-min", 1e-4, "--tune.learning-rate-max", 1e-3)  # fmt: skip
    run_and_signal(lambda: ended_trials(ready) >= 1, killed_alone, "tune.py", *arguments)
    first = {path: path.stat().st_mtime_ns for path in ready.glob("tune/trials/*/history.json")}
    assert len(first) == 1
    linear = {path: path.stat().st_mtime_ns for path in ready.glob("tune/linear/*/*")}
    assert linear, "no trial started from the linear restoration"

    ended = run_and_signal(lambda: ended_trials(ready) >= 2, stopped, "tune.py", *arguments)
    assert ended.status == 2
    assert "error: tune: stopped; trials that had ended are kept" in ended.output
    assert not (ready / "tune/stage.json").exists()

    ended = run("tune.py", *arguments)
    assert ended.status == 0
    assert "trial 3/3" in ended.output
    assert "trial 2/3" not in ended.output
    rows = json.loads((ready / "tune/trials.json").read_text())
    assert len({row["trial"] for row in rows}) == 3
    for path, written in first.items():
        assert path.parent.name in {row["trial"] for row in rows}
        assert path.stat().st_mtime_ns == written, "a finished trial was trained again"
    for path, written in linear.items():
        assert path.stat().st_mtime_ns == written, "the linear restoration was fitted again"
    # One of each variant that was tried, and of the frame step of the settings.
    assert {path.parent.name for path in ready.glob("tune/linear/*/linear.safetensors")} == {
        f"{row['variant']}-1" for row in rows
    }
    best = json.loads((ready / "tune/best.json").read_text())
    assert best["trial"] in {row["trial"] for row in best["front"]}
    assert 1e-4 <= best["learning_rate"] <= 1e-3
    assert (ready / "tune/trials.md").read_text().count("\n") == 5
    assert len(list((ready / "tune/figures").glob("*.png"))) == 3


def test_more_trials_than_cores_with_workers_of_their_own(
    tiny: tuple[Path, Ended], tmp_path: Path
) -> None:
    """Three trials at once, each with a Ray Train worker of a whole CPU, on two CPUs."""
    ready = tmp_path / "run"
    make_ready(tiny, str(ready))
    ended = run("tune.py", "--config", TINY, "--run", ready, "--cluster.cpus", 2,
                "--tune.trials", 3, "--tune.concurrent", 3, "--tune.workers", 1,
                "--tune.cpus-per-trial", 1, "--tune.metric", "psnr", "--tune.reports", 1,
                "--tune.num-frames", 1)  # fmt: skip
    assert ended.status == 0
    rows = json.loads((ready / "tune/trials.json").read_text())
    assert [row["variant"] for row in rows] == ["f1"] * 3
    assert all(row["steps"] == 4 for row in rows)
    best = json.loads((ready / "tune/best.json").read_text())
    assert best["psnr"] == max(row["psnr"] for row in rows)
    assert best["learning_rate"] is None
