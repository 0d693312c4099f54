"""The three training stages with `--engine torch`: no Ray, no DeepSpeed, stop, resume, start."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from datasets.shards import write_clips
from infra.checkpoints import Checkpoints, Mark
from infra.errors import RunError, SettingsError, TrainingError
from infra.runs import Run
from infra.settings import Settings
from model.linear_fit import start_linear
from model.weights import load_network, load_weights
from tests.datasets.test_shards import clip
from workflows import clips, jobs, linear_start
from workflows.pretrain import pretrain
from workflows.recogniser import recogniser
from workflows.scoring import Validation
from workflows.train import check, train

# Whole stages, one of them in a process of its own: not Ray, yet too long for a unit test.
pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
TINY: dict[str, Any] = {
    "engine": "torch",
    "seed": 3,
    "clip": {"size": 32, "scale": 4, "num_frames": 5},
    "network": {"width": 0.125},
    "recogniser": {"width": 0.0625, "input_size": 32, "steps": 3, "batch_size": 4},
    "pretrain": {"steps": 3, "batch_size": 4},
    "train": {"variants": ["f1", "f3warp"], "steps": 4, "batch_size": 4, "use_search": False,
              "log_every": 1, "checkpoint_every": 2, "validation_clips": 8},
}  # fmt: skip


def settings(folder: Path, **train: Any) -> Settings:
    return Settings(**{**TINY, "run": str(folder), "train": {**TINY["train"], **train}})


def write_shards(run: Run, split: str, count: int, num_frames: int = 5) -> None:
    """Clips of four people, each of its own colour, with some noise."""
    draw = np.random.default_rng(len(split))

    def picture(number: int, *shape: int) -> np.ndarray:
        return (50 * (number % 4) + draw.integers(0, 60, shape)).astype(np.uint8)

    clips = [
        replace(
            full, low=picture(number, num_frames, 8, 8, 3), high=picture(number, 32, 32, 3),
            neighbour=picture(number, 32, 32, 3), identity=f"{split}-{number % 4}",
            motion=full.motion[:num_frames], boxes=full.boxes[:num_frames],
        )
        for number, full in enumerate(map(clip, range(count)))
    ]  # fmt: skip
    write_clips(run.path("clips", split, "0.parquet"), clips)


WITHOUT = """
import sys
for name in ("ray", "deepspeed"):
    sys.modules[name] = None  # importing it raises ImportError
sys.path.insert(0, {root!r})
from workflows.command import main
for stage in ("recogniser", "pretrain", "train"):
    sys.argv = [stage, "--config", {config!r}, "--run", {run!r}]
    assert main([stage], "") == 0
"""


@pytest.fixture(scope="module")
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


def history(run: Run, *folder: str) -> list[dict[str, float]]:
    return json.loads(Path(run.path(*folder, "history.json")).read_text())


def test_all_three_stages_without_ray_and_deepspeed(trained: Run) -> None:
    for folder in ("recogniser", "pretrain", "train/f1", "train/f3warp"):
        assert trained.record(folder).counts["step"] == (4 if folder.startswith("train") else 3)
    network = load_network(trained.path("train", "f3warp", "weights.safetensors"))
    assert network(torch.rand(1, 3, 3, 8, 8)).shape == (1, 3, 32, 32)
    assert "validation_psnr" in history(trained, "train", "f3warp")[-1]


def state(run: Run, variant: str) -> dict[str, torch.Tensor]:
    return load_weights(run.path("train", variant, "weights.safetensors"))[0]


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

    cut_off(options, again, monkeypatch)
    assert not ready.is_complete("train/f3warp")
    assert options.network.start == "linear"
    linear = Path(ready.path("train", "f3warp", linear_start.FILE))
    content, written = linear.read_bytes(), linear.stat().st_mtime_ns
    torch.manual_seed(77)  # a new process would not be where this one was
    train(options, ready)
    assert (linear.read_bytes(), linear.stat().st_mtime_ns) == (content, written), "fitted again"
    assert [(r["step"], r["loss"]) for r in history(ready, "train/f3warp")] == list(
        enumerate(losses, 1)
    )
    for name, value in state(ready, "f3warp").items():
        assert torch.equal(value, straight[name])


def cut_off(options: Settings, run: Run, monkeypatch: pytest.MonkeyPatch, after: int = 1) -> None:
    """Train up to the first, or a later, checkpoint."""

    def crash_after(self: Checkpoints, folder: Path, mark: Mark) -> None:
        save(self, folder, mark)
        self.wait()
        if mark.step >= after:
            raise KeyboardInterrupt

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", crash_after)
        with pytest.raises(KeyboardInterrupt):
            train(options, run)


def test_a_variant_begins_as_the_row_linear(ready: Run) -> None:
    """The first validation, of a training that moves nothing yet, is that row's within 0.1 dB."""
    train(settings(Path(ready.uri), steps=1, learning_rate=1e-30), ready)
    validation = Validation(clips.shards(ready, "validation"), 8, 3, None)
    for variant in ("f1", "f3warp"):
        linear = linear_start.load(ready.path("train", variant, linear_start.FILE))
        assert history(ready, "train", variant)[0]["validation_psnr"] == pytest.approx(
            validation.score(linear)["psnr"], abs=0.1
        )


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


State = dict[str, torch.Tensor]


def validated(scores: Iterable[float], monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """Validations give these scores; returns where the weights at each are put."""
    seen: list[State] = []
    given = iter(scores)

    def score(_: Validation, network: torch.nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"psnr": next(given)}

    monkeypatch.setattr(Validation, "score", score)
    return seen


def test_averaged_weights_are_validated_and_written(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """a ← d·a + (1 − d)·w, d = (1 + n) / (10 + n), of the weights w of a training without it."""
    more: dict[str, Any] = {"variants": ["f1"], "evaluate_every": 1}
    own = validated(repeat(20.0), monkeypatch)
    train(settings(Path(ready.uri), **more), ready)
    averaged = validated(repeat(20.0), monkeypatch)
    again = Run(ready.uri, frozenset(["train"]))
    train(settings(Path(ready.uri), **more, ema=1 - 1e-9), again)
    torch.manual_seed(3)
    network = linear_start.new_network(settings(Path(ready.uri)), ready, "f1")
    start_linear(network, linear_start.load(ready.path("train", "f1", linear_start.FILE)))
    expected: State = dict(network.state_dict())
    for n, (weights, found) in enumerate(zip(own, averaged, strict=True), 1):
        decay = (1 + n) / (10 + n)
        expected = {k: decay * v + (1 - decay) * weights[k] for k, v in expected.items()}
        torch.testing.assert_close(found, expected)
    assert n == 4
    torch.testing.assert_close(state(ready, "f1"), expected)


@pytest.mark.parametrize("cut", [False, True])
def test_the_best_validated_weights_are_written(
    cut: bool, ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a validation that gets worse, cut off after the checkpoint of the best or not."""
    options = settings(Path(ready.uri), variants=["f3warp"], evaluate_every=1, ema=0.9)
    scores = iter([20.0, 30.0, 25.0, 10.0])
    seen = validated(scores, monkeypatch)
    if cut:
        cut_off(options, ready, monkeypatch, after=2)
        assert len(seen) == 2
    train(options, ready)
    assert len(seen) == 4
    counts = ready.record("train/f3warp").counts
    assert (counts["step"], counts["best_step"], counts["validation_psnr"]) == (4, 2, 30.0)
    assert ready.record("train").counts["validation_psnr"] == {"f3warp": 30.0}
    torch.testing.assert_close(state(ready, "f3warp"), seen[1], rtol=0, atol=0)
    assert any(not torch.equal(value, seen[3][name]) for name, value in seen[1].items())


def test_without_validation_clips_the_last_weights_are_written(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Validation, "score", lambda *_: {})
    train(settings(Path(ready.uri), variants=["f1"], evaluate_every=1), ready)
    counts = ready.record("train/f1").counts
    assert counts["step"] == 4 and "best_step" not in counts and "validation_psnr" not in counts


def test_the_predictor_moves_after_its_hold_and_not_before(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held for half of the steps on what is known of a clip, also when cut off in between."""
    options = settings(
        Path(ready.uri), variants=["f3warp"], evaluate_every=1, warp_rate=1.0, warp_after=0.5,
        true_motion=0.25, alignment=1.0, crop=0.5,
    )  # fmt: skip
    start = load_weights(ready.path("pretrain", "weights.safetensors"))[0]
    for after in (None, 1):
        seen = validated([1.0, 2.0, 3.0, 4.0], monkeypatch)
        again = Run(ready.uri, frozenset(["train"]))
        if after is not None:
            cut_off(options, again, monkeypatch, after)
            again = ready
        train(options, again)
        moved = [
            any(not torch.equal(weights[f"predictor.{name}"], start[name]) for name in start)
            for weights in seen
        ]
        assert moved == [False, False, True, True]
        assert "alignment" in history(ready, "train/f3warp")[-1]


def test_a_larger_variant_grows_from_a_smaller_one(
    ready: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """f3 without its training is f1: F₀ and R are taken, new frames enter with zero weight."""
    options = settings(
        Path(ready.uri), variants=["f1", "f3"], init_from="f1", steps=1, learning_rate=1e-30
    )
    train(options, ready)
    low = torch.rand(2, 3, 3, 8, 8)
    short, long = (
        load_network(ready.path("train", name, "weights.safetensors")) for name in ("f1", "f3")
    )
    with torch.no_grad():
        torch.testing.assert_close(long(low), short(low[:, 1:2]))
    said = capsys.readouterr().out
    assert "[train-f3] starts from" in said
    assert "(f1): taken central 10, reconstruction 16; begun anew adjacent 10" in said
    assert ready.record("train/f3").inputs["train/f1"] == ready.record("train/f1").digest


def test_fine_tuning_from_a_file(ready: Run, capsys: pytest.CaptureFixture[str]) -> None:
    train(settings(Path(ready.uri), variants=["f1"]), ready)
    weights = ready.path("train/f1/weights.safetensors")
    other = Run(ready.uri, frozenset(["train"]))
    kept = Path(ready.uri) / "f1.safetensors"
    kept.write_bytes(Path(weights).read_bytes())
    before = state(ready, "f1")
    train(settings(Path(ready.uri), variants=["f1"], init=str(kept), learning_rate=1e-30), other)
    assert f"from {kept} (f1): taken central 10, reconstruction 16; begun anew nothing" in (
        capsys.readouterr().out
    )
    torch.testing.assert_close(state(ready, "f1"), before, atol=1e-20, rtol=0)

    wrong = ready.path("recogniser", "weights.safetensors")
    with pytest.raises(SettingsError, match=r"init: .*nothing in it fits: it holds conv1_1"):
        train(settings(Path(ready.uri), variants=["f1"], init=wrong), other)


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
    reader = jobs.ShardReader([ready.path("clips/train/0.parquet")], 4, 3, ["low"], prefetch=0)
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


def test_the_variant_to_grow_from_comes_first(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"train.init_from: .*grow from f3warp; put it first"):
        check(settings(tmp_path, init_from="f3warp"))
    with pytest.raises(SettingsError, match=r"train.init: .*no such file"):
        check(settings(tmp_path, init=str(tmp_path / "none.safetensors")))


@pytest.mark.parametrize("more", [{"use_search": True}, {"perceptual": {"pool3": 1.0}}])
def test_a_crop_goes_with_the_loss_of_pixels_alone(more: dict[str, Any], tmp_path: Path) -> None:
    check(settings(tmp_path, crop=0.5))
    with pytest.raises(SettingsError, match=r"train.crop: .*train.use_search false"):
        check(settings(tmp_path, crop=0.5, **more))
