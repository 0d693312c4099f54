"""SIGKILL of recogniser and pretrain with all their processes, and of a worker of pretrain: each
goes on from its last checkpoint, and ends with the weights of a training that nothing disturbs."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from infra.runs import Run
from infra.training.checkpoints import Checkpoints
from tests.integration.conftest import (
    planted,
    run,
    run_and_kill,
    run_and_kill_worker,
    run_here,
)
from tests.support.tiny_training import TINY, write_shards

# So many, of so many clips, that a kill after the third finds it at work. The engines' last bits
# grow apart with the steps: those of pretrain, whose last layer begins at zero, soon.
STEPS, BATCH = {"recogniser": 60, "pretrain": 24}, {"recogniser": 4, "pretrain": 16}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with both stages, by plain PyTorch in this process: the two engines make the same
    updates (test_deepspeed_engine.py), and Ray would take a minute."""
    folder = tmp_path_factory.mktemp("undisturbed")
    made = Run(str(folder))
    with made.stage("preprocess", "clips", {"clip": TINY["clip"]}, []) as stage:
        assert stage is not None
        for split, count in (("train", 16), ("validation", 8)):
            write_shards(made, split, count)
    settings = {name: TINY[name] for name in ("seed", "clip", "network")}
    for stage_, steps_ in STEPS.items():
        settings[stage_] = {**TINY[stage_], "steps": steps_, "batch_size": BATCH[stage_],
                            "checkpoint_every": 1, "log_every": 1}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    arguments = ("--config", folder / "settings.json", "--run", folder, "--engine", "torch")
    assert run_here(*arguments, stages=["recogniser", "pretrain"]).status == 0
    return folder


def begun(undisturbed: Path, folder: Path) -> Path:
    """A run whose next stage is either."""
    for name in ("clips", "settings.json"):
        copy = shutil.copytree if (undisturbed / name).is_dir() else shutil.copy
        copy(undisturbed / name, folder / name)
    return folder


def words(stage: str, folder: Path) -> tuple[object, ...]:
    return (f"{stage}.py", "--config", folder / "settings.json", "--run", folder)


def steps(folder: Path, stage: str) -> int:
    """The newest step of which a checkpoint is whole."""
    marks = (folder / stage / "checkpoints").glob("step-*/mark-0.json")
    return max((int(mark.parent.name.removeprefix("step-")) for mark in marks), default=0)


def history(folder: Path, stage: str) -> dict[int, dict[str, float]]:
    rows = json.loads((folder / stage / "history.json").read_text())
    assert [row["step"] for row in rows] == list(range(1, STEPS[stage] + 1))
    return {row["step"]: row for row in rows}


def check(folder: Path, undisturbed: Path, stage: str, left: Path) -> None:
    """It went as an undisturbed training does, and left nothing half done."""
    found, wanted = history(folder, stage), history(undisturbed, stage)
    for step, row in wanted.items():
        assert found[step]["loss"] == pytest.approx(row["loss"], rel=1e-4), step
    ours, theirs = (
        safetensors.torch.load_file(at / stage / "weights.safetensors")
        for at in (folder, undisturbed)
    )
    assert list(ours) == list(theirs)
    apart = torch.cat([(ours[name] - theirs[name]).abs().flatten() for name in theirs])
    # Another step, or another batch in one, moves a weight by about the learning rate; the engines
    # differ in the last bit, which in pretrain's steps has grown to a twentieth of it by the end.
    rate = max(row["learning_rate"] for row in wanted.values())
    assert apart.mean() < 0.2 * rate
    assert not left.exists() and not list((folder / stage).rglob(".*.tmp"))


def test_recogniser_killed(undisturbed: Path, tmp_path: Path) -> None:
    folder = begun(undisturbed, tmp_path)
    run_and_kill(lambda: steps(folder, "recogniser") >= 3, *words("recogniser", folder))
    reached = Checkpoints(str(folder / "recogniser/checkpoints")).complete()[-1].step
    assert 3 <= reached < STEPS["recogniser"], "killed too late to show anything"
    assert not (folder / "recogniser/stage.json").exists()
    left = planted(folder / "recogniser")

    ended = run(*words("recogniser", folder))
    assert ended.status == 0
    assert "[recogniser] was cut off, goes on" in ended.output
    assert f"[recogniser] step {reached}/" not in ended.output, "not from the newest"
    assert f"[recogniser] step {reached + 1}/" in ended.output
    check(folder, undisturbed, "recogniser", left)


def test_pretrain_killed_and_then_its_worker(undisturbed: Path, tmp_path: Path) -> None:
    folder = begun(undisturbed, tmp_path)
    run_and_kill(lambda: steps(folder, "pretrain") >= 3, *words("pretrain", folder))
    reached = Checkpoints(str(folder / "pretrain/checkpoints")).complete()[-1].step
    assert 3 <= reached < STEPS["pretrain"] - 3, "killed too late to show anything"
    left = planted(folder / "pretrain")

    ended = run_and_kill_worker(
        lambda: steps(folder, "pretrain") > reached, "ray::RayTrainWorker",
        *words("pretrain", folder),
    )  # fmt: skip
    assert ended.status == 0
    assert "[pretrain] was cut off, goes on" in ended.output
    assert f"[pretrain] step {reached}/" not in ended.output, "not from the newest"
    assert ended.output.count("[pretrain] worker 0 was lost") == 1
    check(folder, undisturbed, "pretrain", left)
