"""The weights that a training begins from, and those of its steps that are written."""

from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.errors import SettingsError
from infra.runs import Run
from model.linear_fit import start_linear
from model.weights import load_network, load_weights
from tests.support.tiny_training import State, cut_off, history, settings, state, validated
from workflows.shared import artifacts, networks
from workflows.training import initial_weights
from workflows.training.restoration import check, train
from workflows.training.validation import Validation

# Whole stages, one of them in a process of its own: not Ray, yet too long for a unit test.
pytestmark = pytest.mark.integration


def test_a_variant_begins_as_the_row_linear(ready: Run) -> None:
    """The first validation, of a training that moves nothing yet, is that row's within 0.1 dB."""
    train(settings(Path(ready.uri), steps=1, learning_rate=1e-30), ready)
    validation = Validation(artifacts.shards(ready, "validation"), 8, 3, None)
    for variant in ("f1", "f3warp"):
        linear = networks.linear_restoration(ready.path("train", variant, artifacts.LINEAR))
        assert history(ready, "train", variant)[0]["validation_psnr"] == pytest.approx(
            validation.score(linear)["psnr"], abs=0.1
        )


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


def test_the_variant_to_grow_from_comes_first(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"train.init_from: .*grow from f3warp; put it first"):
        check(settings(tmp_path, init_from="f3warp"))
    with pytest.raises(SettingsError, match=r"train.init: .*no such file"):
        check(settings(tmp_path, init=str(tmp_path / "none.safetensors")))


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
        again.ended(["train"])
        moved = [
            any(not torch.equal(weights[f"predictor.{name}"], start[name]) for name in start)
            for weights in seen
        ]
        assert moved == [False, False, True, True]
        assert "alignment" in history(ready, "train/f3warp")[-1]


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
    network = initial_weights.new_network(settings(Path(ready.uri)), ready, "f1")
    start_linear(network, networks.linear_restoration(ready.path("train", "f1", artifacts.LINEAR)))
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
