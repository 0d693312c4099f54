"""The three training stages with `--engine torch`: no Ray, no DeepSpeed, stop, resume, record."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from datasets.shards.reader import ShardReader
from infra.errors import RunError, SettingsError, TrainingError
from infra.runs import Run
from infra.settings.settings import Settings
from model.weights import load_network, load_weights
from tests.support.tiny_training import TINY, cut_off, history, settings, state, write_shards
from workflows.shared import artifacts
from workflows.training.recognition import recogniser
from workflows.training.restoration import _build as build
from workflows.training.restoration import check, train
from workflows.training.warp import pretrain

# Whole stages, one of them in a process of its own: not Ray, yet too long for a unit test.
pytestmark = pytest.mark.integration


def test_stills_of_one_frame_train_f1(tmp_path: Path) -> None:
    """P is pretrained on pairs made from the sharp frame; there are no windows to draw it on."""
    run = Run(str(tmp_path / "run"))
    with run.stage("preprocess", "clips", {}, []) as stage:
        assert stage is not None
        write_shards(run, "train", 8, num_frames=1)
        write_shards(run, "validation", 4, num_frames=1)
    options = Settings.model_validate(
        {**TINY, "run": run.uri, "clip": {"size": 32, "scale": 4, "num_frames": 1},
         "train": {**TINY["train"], "variants": ["f1"], "fresh": 1.0}}
    )  # fmt: skip
    recogniser(options, run)
    pretrain(options, run)
    train(options, run)
    assert run.record("train/f1").counts["step"] == 4


def test_all_three_stages_without_ray_and_deepspeed(trained: Run) -> None:
    for folder in ("recogniser", "pretrain", "train/f1", "train/f3warp"):
        assert trained.record(folder).counts["step"] == (4 if folder.startswith("train") else 3)
    network = load_network(trained.path("train", "f3warp", "weights.safetensors"))
    assert network(torch.rand(1, 3, 3, 8, 8)).shape == (1, 3, 32, 32)
    assert "validation_psnr" in history(trained, "train", "f3warp")[-1]


@pytest.mark.parametrize("stage", [0, 3])
def test_with_zero_3_nothing_is_looked_up(stage: int, ready: Run) -> None:
    """A worker that has seen a clip would not run P, and the others would wait for it."""
    options = Settings.model_validate(
        {**TINY, "run": ready.uri, "engine": "deepspeed",
         "network": {"width": 0.125, "start": "passthrough"},
         "train": {**TINY["train"], "augment": False, "zero_stage": stage}}
    )  # fmt: skip
    job = build(options, ready, "f3warp", {"pool3": 1.0}, None, "")
    assert ("order" in job.objective.columns) is (stage == 0)


@pytest.mark.parametrize("more", [{"perceptual": {"pool3": 1.0}}, {"fresh": 0.5}])
def test_cut_off_and_resumed_equals_uninterrupted(
    more: dict[str, Any], ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps twice are the same to the last bit, and the same as two, a crash and two more."""
    options = settings(Path(ready.uri), variants=["f3warp"], **more)
    again = Run(ready.uri, frozenset(["train"]))
    train(options, ready)
    straight, losses = state(ready, "f3warp"), [r["loss"] for r in history(ready, "train/f3warp")]
    train(options, again)
    assert [r["loss"] for r in history(ready, "train/f3warp")] == losses
    again.ended(["train"])

    cut_off(options, again, monkeypatch)
    assert not ready.is_complete("train/f3warp")
    assert options.network.start == "linear"
    linear = Path(ready.path("train", "f3warp", artifacts.LINEAR))
    content, written = linear.read_bytes(), linear.stat().st_mtime_ns
    torch.manual_seed(77)  # a new process would not be where this one was
    train(options, ready)
    assert (linear.read_bytes(), linear.stat().st_mtime_ns) == (content, written), "fitted again"
    assert [(r["step"], r["loss"]) for r in history(ready, "train/f3warp")] == list(
        enumerate(losses, 1)
    )
    for name, value in state(ready, "f3warp").items():
        assert torch.equal(value, straight[name])


def test_goes_on_with_other_variants_and_more_checkpoints(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides nothing about a variant's weights may change while it is cut off."""
    cut_off(settings(Path(ready.uri)), ready, monkeypatch)
    train(settings(Path(ready.uri), variants=["f1"], checkpoint_every=1), ready)
    assert [row["step"] for row in history(ready, "train/f1")] == [1, 2, 3, 4]


@pytest.mark.parametrize(("field", "value"), [("validation_clips", 4), ("evaluate_every", 3)])
def test_the_validation_that_chooses_the_weights_stays(
    field: str, value: int, ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best checkpoint is the result, so it depends on what is validated, and when."""
    cut_off(settings(Path(ready.uri)), ready, monkeypatch)
    with pytest.raises(RunError, match=rf"train\.{field} was .*, now {value}"):
        train(settings(Path(ready.uri), **{field: value}), ready)


def test_the_record_names_variants_of_every_budget_and_none_of_other_clips(ready: Run) -> None:
    def record() -> list[str]:
        return ready.record("train").settings["variants"]

    train(settings(Path(ready.uri), variants=["f3"], steps=1), ready)
    train(settings(Path(ready.uri), variants=["f1"], steps=2), ready)
    assert record() == ["f3", "f1"]
    train(settings(Path(ready.uri), variants=["f3"], steps=1), ready)
    assert record() == ["f3", "f1"]
    with Run(ready.uri, frozenset(["pretrain"])).stage("pretrain", "pretrain", {}, []):
        pass
    train(settings(Path(ready.uri), variants=["f5"], steps=1), ready)
    assert record() == ["f5"]


def test_does_not_go_on_with_the_other_engine(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(settings(Path(ready.uri)), ready, monkeypatch)
    other = settings(Path(ready.uri)).model_copy(update={"engine": "deepspeed"})
    with pytest.raises(SettingsError, match=r"train-f1 was begun with --engine torch; .*--force"):
        train(other, ready)


def test_time_runs_out_and_the_record_says_so(ready: Run) -> None:
    train(settings(Path(ready.uri), variants=["f1"], steps=10**6, minutes=0.005), ready)
    counts = ready.record("train/f1").counts
    assert 1 <= counts["step"] < 10**6
    assert counts["stopped"] == "after 0.005 min of 1000000 steps"
    assert load_network(ready.path("train/f1/weights.safetensors"))


def test_a_poisoned_batch_is_kept_in_the_stage_folder(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recogniser gone NaN makes every loss NaN; the batch of the last step is in the file."""
    weights = ready.path("recogniser", "weights.safetensors")
    arrays, header = load_weights(weights)
    arrays["conv1_1.weight"][:] = torch.nan
    safetensors.torch.save_file(arrays, weights, metadata=header)
    options = settings(Path(ready.uri), variants=["f1"], perceptual={"pool3": 1.0}, max_skipped=2)
    place = ready.path("train/f1/bad-batch-2-0.safetensors")
    with pytest.raises(TrainingError, match=rf"step 2: .* 2 steps in a row \(batch: {place}\)"):
        train(options, ready)
    batch = safetensors.numpy.load_file(place)
    assert batch["low"].shape == (4, 5, 8, 8, 3) and batch["low"].dtype == np.uint8
    reader = ShardReader([ready.path("clips/train/0.parquet")], 4, 3, ["low"], prefetch=0)
    stream = reader.batches(4)
    assert np.array_equal(batch["low"], next(stream)["low"])


def test_a_trace_of_some_steps(ready: Run) -> None:
    train(settings(Path(ready.uri), variants=["f1"], steps=6, profile=2), ready)
    trace = json.loads(Path(ready.path("train/f1/trace.json")).read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert sum(name.startswith("ProfilerStep") for name in names) >= 2
    assert any("Adam" in name for name in names)


@pytest.mark.parametrize("field", ["workers", "zero_stage"])
def test_what_needs_more_than_one_process_is_refused(field: str) -> None:
    said = r"engine torch is one process: train\.workers must be 1 and train\.zero_stage 0;"
    with pytest.raises(ValueError, match=said):
        Settings(**{**TINY, "train": {**TINY["train"], field: 2}})


@pytest.mark.parametrize("more", [{"use_search": True}, {"perceptual": {"pool3": 1.0}}])
def test_a_crop_goes_with_the_loss_of_pixels_alone(more: dict[str, Any], tmp_path: Path) -> None:
    check(settings(tmp_path, crop=0.5))
    with pytest.raises(SettingsError, match=r"train.crop: .*train.use_search false"):
        check(settings(tmp_path, crop=0.5, **more))
