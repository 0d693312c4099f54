"""The linear restoration of a run: fitted once, read back, and where the row `linear` is from."""

from pathlib import Path
from typing import Any

import pytest
import torch

from infra.errors import RunError
from infra.runs import Run
from infra.settings.settings import Settings
from model.layers.warp_predictor import WarpPredictor
from model.linear_fit import fit_linear, start_linear
from model.metrics import psnr_luma
from model.pixels import centre_slice, to_pixels
from model.weights import load_weights, save_weights
from tests.support.tiny_training import TINY, write_shards
from workflows.shared import artifacts, networks
from workflows.shared.restoring import CPU, pictures, restore_clips, validation_clips
from workflows.training import initial_weights


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with clips, and a pretrained P that moves what it sees."""
    made = Run(str(tmp_path / "run"))
    with made.stage("preprocess", "clips", {}, []) as stage:
        assert stage is not None
        write_shards(made, "train", 16)
    torch.manual_seed(1)
    predictor = WarpPredictor(8)
    torch.nn.init.normal_(predictor.last.weight, std=0.02)
    save_weights(predictor, made.path("pretrain", "weights.safetensors"))
    return made


def settings(**clip: Any) -> Settings:
    return Settings(**{**TINY, "clip": {**TINY["clip"], **clip}})


def test_is_fitted_to_the_training_clips_as_p_aligns_them(run: Run) -> None:
    """The filters are those of `fit_linear`, P is the pretrained one, the header tells the step."""
    chosen = settings(frame_step=2)
    uri = initial_weights.fitted_linear(chosen, run, "f3warp", run.path("train", "f3warp"))
    assert uri == run.path("train", "f3warp", "linear.safetensors")
    found = networks.linear_restoration(uri)
    assert (found.variant, found.num_frames, found.frame_step) == ("linear3warp", 3, 2)
    assert not found.training and not any(value.requires_grad for value in found.parameters())
    pretrained = load_weights(run.path("pretrain", "weights.safetensors"))[0]
    assert found.predictor is not None
    for name, value in found.predictor.state_dict().items():
        assert torch.equal(value, pretrained[name])

    some = validation_clips(artifacts.shards(run, "train"), 100, ("low", "high"))
    assert some is not None and len(some["low"]) == 16
    low = to_pixels(centre_slice(torch.from_numpy(some["low"]), 3, 2), CPU)
    network = initial_weights.new_network(chosen, run, "f3warp")
    expected = fit_linear(network, low, pictures(some["high"]))
    torch.testing.assert_close(found(low), expected(low))


def test_is_fitted_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(initial_weights.fitted_linear(settings(), run, "f3", run.path("train", "f3")))
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    monkeypatch.setattr(initial_weights, "fit_linear", lambda *_: pytest.fail("fitted again"))
    assert initial_weights.fitted_linear(settings(), run, "f3", run.path("train", "f3")) == str(
        path
    )
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, written)


def test_two_that_fit_it_at_once_write_the_same(run: Run) -> None:
    """As trials of a search may, whatever numbers each has drawn before."""
    first, second = (
        load_weights(
            initial_weights.fitted_linear(settings(), run, "f3", run.path("tune", "linear", name))
        )
        for name in ("a", "b")
    )
    assert first[1] == second[1]
    assert all(torch.equal(value, second[0][name]) for name, value in first[0].items())


@pytest.mark.parametrize("variant", ["f1", "f3", "f3warp"])
def test_a_network_starts_as_the_row_linear(run: Run, variant: str) -> None:
    """PSNR within 0.1 dB on the clips it is fitted to: R's sigmoid is undone up to 0.004 RMS."""
    chosen = settings()
    counterpart = networks.linear_restoration(
        initial_weights.fitted_linear(chosen, run, variant, run.path("train", variant))
    )
    network = initial_weights.new_network(chosen, run, variant)
    start_linear(network, counterpart)
    some = validation_clips(artifacts.shards(run, "train"), 16, ("low", "high"))
    assert some is not None
    truth = pictures(some["high"])
    one, two = (
        float(psnr_luma(restore_clips(made, some["low"]), truth).mean())
        for made in (network, counterpart)
    )
    assert one == pytest.approx(two, abs=0.1)


def test_the_row_linear_is_that_of_the_widest_variant(run: Run) -> None:
    for name in ("f1", "f3warp"):
        initial_weights.fitted_linear(settings(), run, name, run.path("train", name))
    run.summarise("train", "train", {"variants": ["f1", "f3warp"]}, [], {})
    row = networks.load_methods(run, ["linear"], settings().clip)["linear"]
    assert row.variant == "linear3warp"
    assert row(torch.rand(1, 3, 3, 8, 8)).shape == (1, 3, 32, 32)


def test_a_variant_without_one_is_named(run: Run) -> None:
    run.summarise("train", "train", {"variants": ["f1"]}, [], {})
    with pytest.raises(RunError, match=r"f1/linear\.safetensors: no linear restoration"):
        networks.load_methods(run, ["linear"], settings().clip)


def test_a_run_without_training_clips_is_refused(tmp_path: Path) -> None:
    run = Run(str(tmp_path / "run"))
    with run.stage("preprocess", "clips", {}, []):
        write_shards(run, "validation", 4)
    with pytest.raises(RunError, match=rf"{run.path('clips')}: no clip in the train split"):
        initial_weights.fitted_linear(settings(), run, "f1", run.path("train", "f1"))
    assert not Path(run.path("train")).exists()
