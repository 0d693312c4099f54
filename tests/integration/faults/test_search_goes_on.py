"""The search: trials side by side on two cores, a killed and a stopped driver that goes on."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from infra import cluster, storage
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from tests.integration.conftest import TINY, Ended, run, run_and_signal
from tests.support.planted import plant, quick_trial
from workflows.search import ended
from workflows.search import stage as search


def make_ready(tiny: tuple[Path, Ended], run: str) -> None:
    """Make a run whose next stage is tune."""
    for stage in ("clips", "recogniser", "pretrain"):
        storage.upload(tiny[0] / stage, f"{run}/{stage}")


def ended_trials(folder: Path) -> int:
    """Trials that are written down as ended."""
    return len(ended.read(str(folder / "tune/ended.json")))


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
    # A worker may outlive its driver, and write down what the next trial has done meanwhile.
    (one,) = ended.read(str(ready / "tune/ended.json"))
    history = ready / "tune/trials" / one.trial_id / "history.json"
    first = {history: history.stat().st_mtime_ns}
    linear = {path: path.stat().st_mtime_ns for path in ready.glob("tune/linear/*/*")}
    assert linear, "no trial started from the linear restoration"

    done = run_and_signal(lambda: ended_trials(ready) >= 2, stopped, "tune.py", *arguments)
    assert done.status == 2
    assert "error: tune: stopped; trials that had ended are kept" in done.output
    assert not (ready / "tune/stage.json").exists()

    done = run("tune.py", *arguments)
    assert done.status == 0
    assert "trial 3/3" in done.output
    assert "trial 2/3" not in done.output
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
    done = run("tune.py", "--config", TINY, "--run", ready, "--cluster.cpus", 2,
               "--tune.trials", 3, "--tune.concurrent", 3, "--tune.workers", 1,
                "--tune.cpus-per-trial", 1, "--tune.metric", "psnr", "--tune.reports", 1,
                "--tune.num-frames", 1)  # fmt: skip
    assert done.status == 0
    rows = json.loads((ready / "tune/trials.json").read_text())
    assert [row["variant"] for row in rows] == ["f1"] * 3
    assert all(row["steps"] == 4 for row in rows)
    best = json.loads((ready / "tune/best.json").read_text())
    assert best["psnr"] == max(row["psnr"] for row in rows)
    assert best["learning_rate"] is None


@pytest.mark.filterwarnings("default")  # of Ray, which runs in this process
def test_nothing_is_unpickled_from_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Tune would look for to go on from; what goes on is what our own file says."""
    run, sign = Run(str(tmp_path / "run")), tmp_path / "sign"
    stage, settings = Stage("tune", run.path("tune"), ""), Settings()
    monkeypatch.setattr(search, "trial", quick_trial)

    def trials(count: int) -> list[str]:
        settings.tune.trials = count
        for name in ("tuner.pkl", "trainable.pkl", "searcher-state-2026-01-01_00-00-00.pkl",
                     "search_gen_state-2026-01-01_00-00-00.json",
                     "experiment_state-2026-01-01_00-00-00.json"):  # fmt: skip
            plant(tmp_path / "run/tune/search" / name, sign)
        rows, failed = search._search(settings, run, stage)
        assert not failed
        return [row["trial"] for row in rows]

    cluster.connect(cpus=2)
    try:
        for metric in ("both", "psnr"):
            settings.tune.metric = metric
            first = trials(2)
            assert len(set(first)) == 2
            assert trials(3)[:2] == first
            configs = [str(trial.config) for trial in ended.read(stage.path("ended.json"))]
            assert len(set(configs)) == 3, "drew the same trial again"
            assert len(trials(3)) == 3
            storage.remove(stage.path("ended.json"))
    finally:
        cluster.disconnect()
    assert not sign.exists()
