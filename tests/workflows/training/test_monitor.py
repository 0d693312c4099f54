"""What a training leaves for people: lines of text, TensorBoard events, history.json."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from infra.nodes.terminal import CLEAR
from infra.progress import say
from infra.runs import Run
from infra.training.engine import Objective
from model.layers.warp_predictor import WarpPredictor
from tests.support.root import ROOT
from tests.support.small_jobs import work
from tests.support.terminal import Terminal
from tests.support.tiny_training import TINY
from workflows.training.driver import watch_of
from workflows.training.job import Trainee
from workflows.training.monitor import Watch
from workflows.training.pictures import SIDE, augmented_panel, warp_panel


def picture() -> np.ndarray:
    return np.full((4, 6, 3), 90, np.uint8)


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "events"))
    found.Reload()
    return found


def test_terms_pictures_and_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch("train-f5", str(tmp_path), 30, {"faces": picture})
    watch.see({"step": 1, "loss": 4.0, "pixel": 3.0, "learning_rate": 1e-4}, milestone=False)
    assert not (tmp_path / "history.json").exists()
    watch.see({"step": 10, "loss": 2.0, "pixel": 1.5, "learning_rate": 1e-4}, milestone=True)
    watch.close()
    found = events(tmp_path)
    assert set(found.Tags()["scalars"]) == {"train/loss", "train/pixel", "train/learning_rate"}
    assert [(e.step, e.value) for e in found.Scalars("train/pixel")] == [(1, 3.0), (10, 1.5)]
    image = found.Images("train/faces")[0]
    assert (image.step, image.height, image.width) == (10, 4, 6)
    assert [row["step"] for row in json.loads((tmp_path / "history.json").read_text())] == [1, 10]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[train-f5] step 1/30  loss 4  pixel 3  learning_rate 0.0001"
    assert "left 00:0" in lines[1]


def test_a_terminal_gets_one_bar_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen.stream)
    watch = Watch("train-f5", str(tmp_path), 30, {})
    told = {"loss": 4.0, "pixel": 3.0, "clips_per_second": 12.5}
    for step in (10, 20, 30):
        watch.see({"step": step, "validation_psnr": 24.3, **told}, milestone=False)
        told = {**told, "loss": 2.0}
    watch.close()
    shown = screen.shown()
    assert shown.count("\n") == 1 and shown.endswith("\n")
    drawn = shown.strip().split(CLEAR)
    assert len(drawn) == 3
    assert drawn[0].startswith("train-f5") and drawn[0].endswith("loss 4, PSNR 24.3, clips/s 12.5")
    assert "20/30 steps, left 00:0" in drawn[1]
    assert "30/30 steps" in drawn[2] and "loss 2, " in drawn[2]


def test_what_ends_early_keeps_its_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen.stream)
    with Watch("train-f5", str(tmp_path), 30, {}) as watch:
        watch.see({"step": 10, "loss": 4.0}, milestone=False)
    say("train", "done")
    shown = screen.shown().split("\n")
    assert "10/30 steps" in shown[0] and shown[1:] == ["[train] done", ""]


@pytest.mark.integration
@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_a_training_on_a_terminal_and_into_a_file(engine: str, ready: Run, tmp_path: Path) -> None:
    """The command as it is typed, and as a job runs it; with DeepSpeed a worker of Ray says it."""
    config, screen = tmp_path / "tiny.yaml", Terminal()
    config.write_text(json.dumps(TINY))
    command = [sys.executable, ROOT / "workflows/train.py", "--config", config, "--run", ready.uri]
    command += ["--engine", engine, "--train.variants", "f1"]
    subprocess.run(command, stdout=screen.file, stderr=screen.file, check=True)
    bars = [line for line in screen.shown().split("\n") if CLEAR in line]
    assert [bar.partition(" ")[0] for bar in bars] == ["train-f1"]
    for bar in bars:
        drawn = bar.split(CLEAR)
        assert len(drawn) == 4 and "4/4 steps" in drawn[-1]
        assert all(" loss " in text and " clips/s " in text for text in drawn)
    if engine == "deepspeed":
        return  # what a log of Ray holds is the matter of another test
    log = subprocess.run([*command, "--force", "train"], capture_output=True, text=True, check=True)
    assert "\r" not in log.stdout
    steps = re.findall(r"^\[train-f1\] step (\d)/4  loss .*clips_per_second", log.stdout, re.M)
    assert steps == list("1234")


def test_a_resumed_training_strikes_out_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    first = Watch("pretrain", str(tmp_path), 30, {})
    for step in (10, 20):
        first.see({"step": step, "loss": 1.0}, milestone=True)
    first.close()
    second = Watch("pretrain", str(tmp_path), 30, {})
    second.see({"step": 15, "loss": 0.5}, milestone=True)
    second.close()
    assert [e.step for e in events(tmp_path).Scalars("pretrain/loss")] == [10, 15]
    assert [row["step"] for row in json.loads((tmp_path / "history.json").read_text())] == [10, 15]


def test_a_trial_says_what_it_tries_before_it_is_stopped(tmp_path: Path) -> None:
    drawn = {"num_frames": 5, "warp": True, "pool3": 12.5}
    watch = Watch("trial-abc", str(tmp_path), 30, {}, drawn)
    watch.see({"step": 1, "loss": 1.0, "validation_psnr": 20.0}, milestone=True)
    found = events(tmp_path).summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        found["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert start.hparams["num_frames"].number_value == 5
    assert start.hparams["warp"].number_value == 1
    assert start.hparams["pool3"].number_value == 12.5
    listed = plugin_data_pb2.HParamsPluginData.FromString(
        found["_hparams_/experiment"].plugin_data.content
    ).experiment
    assert [m.name.tag for m in listed.metric_infos] == [
        "trial/validation_psnr", "trial/validation_verification",
    ]  # fmt: skip
    watch.close()


@pytest.mark.parametrize(
    ("options", "drawn"),
    [({"zero_stage": 3, "workers": 2}, []), ({"zero_stage": 3}, ["faces"]),
     ({"zero_stage": 2, "workers": 2}, ["faces"])],
)  # fmt: skip
def test_no_picture_of_a_network_that_runs_on_all_workers_or_hangs(
    options: dict[str, int], drawn: list[str], tmp_path: Path
) -> None:
    trainee = Trainee(Objective(), {}, panels={"faces": picture})
    watch = watch_of(work(tmp_path, [], **options), trainee)
    assert list(watch.panels) == drawn
    watch.close()


def test_the_grid_is_straight_without_shifts_and_moves_with_them() -> None:
    """A shift of +x by 2/8 of the image reads an eighth of SIDE·2 further right."""
    predictor = WarpPredictor(8)
    low = np.zeros((2, 5, 8, 8, 3), np.uint8)
    still = warp_panel(predictor, low, 3)
    assert still.shape == (2 * SIDE, 3 * SIDE, 3)
    lines = np.rint(np.linspace(-0.5, SIDE - 0.5, 8)).astype(int)[1:-1]
    inner = still[:SIDE, :SIDE].any(axis=-1)
    assert set(np.flatnonzero(inner[SIDE // 14])) >= set(lines)
    assert not still[:SIDE, SIDE : 2 * SIDE].any(), "the centre carries no grid"
    with torch.no_grad():
        predictor.last.bias.copy_(torch.tensor([0.25, 0.0]).repeat(64))
    moved = warp_panel(predictor, low, 3)[:SIDE, :SIDE].any(axis=-1)
    assert not moved[:, : SIDE // 8 - 2].any()
    assert (moved[2:-2, SIDE // 8 :] == inner[2:-2, : -SIDE // 8]).mean() > 0.97


def test_a_picture_of_augmentation_does_not_change_the_training() -> None:
    faces = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    panel = augmented_panel(faces, 0.3)
    assert torch.equal(torch.rand(2), expected)
    assert (panel[:16] == np.concatenate(list(faces), axis=1)).all()
    assert panel.shape == (32, 48, 3)
    assert (panel[16:] != panel[:16]).mean() > 0.5
