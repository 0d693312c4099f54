"""Weights on disk: round trip, header, atomicity, and starting one network from another."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model.network import build
from model.weights import grow_from, load_network, load_weights, save_weights, start_from


@pytest.mark.parametrize("variant", ["f5warp", "bicubic"])
def test_network_comes_back_from_its_file(tmp_path: Path, variant: str) -> None:
    network = build(variant, scale=4, size=16, width=0.25)
    save_weights(network, tmp_path / "new" / "weights.safetensors", {"step": "7"})
    loaded = load_network(tmp_path / "new" / "weights.safetensors")
    frames = 5 if variant == "f5warp" else 1
    low = torch.rand(1, frames, 3, 4, 4)
    assert torch.equal(loaded(low), network(low))
    assert not loaded.training
    _, header = load_weights(tmp_path / "new" / "weights.safetensors")
    assert header["variant"] == variant and header["scale"] == "4" and header["size"] == "16"
    assert header["step"] == "7" and "facestack" in header


def test_half_precision_is_stored_as_float32(tmp_path: Path) -> None:
    module = nn.Linear(2, 2).to(torch.bfloat16)
    save_weights(module, tmp_path / "w.safetensors", {})
    state, _ = load_weights(tmp_path / "w.safetensors")
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 2), path, {"run": "old"})

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("infra.whole_file.os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        save_weights(nn.Linear(2, 2), path, {"run": "new"})
    assert load_weights(path)[1]["run"] == "old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_text("not weights")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_weights(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no variant, scale, size"):
        load_network(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"variant": "f1", "scale": "4", "size": "16"})
    with pytest.raises(ValueError, match="do not fit f1"):
        load_network(path)


def test_a_longer_window_starts_from_a_shorter_one() -> None:
    short = build("f5warp", scale=4, size=16, width=0.25)
    long = build("f9warp", scale=4, size=16, width=0.25)
    copied = start_from(long, short.state_dict())
    left = set(long.state_dict()) - set(copied)
    assert left == {"reconstruction.layers.0.weight"}
    assert torch.equal(long.central.upsample.weight, short.central.upsample.weight)


@pytest.mark.parametrize(("short", "long"), [("f1", "f5"), ("f3", "f9")])
def test_a_grown_network_restores_what_the_shorter_one_does(short: str, long: str) -> None:
    """R's first layer reads the central frames as before and the new ones with zero weight."""
    torch.manual_seed(0)
    small, large = (build(name, 4, 16, 0.25, start="kaiming") for name in (short, long))
    taken = grow_from(large, small.state_dict())
    assert "reconstruction.layers.0.weight" in taken
    frames, central = large.num_frames, small.num_frames
    low, first = torch.rand(2, frames, 3, 4, 4), (frames - central) // 2
    torch.testing.assert_close(large(low), small(low[:, first : first + central]))
    # The new frames are not cut off: they learn.
    large(low).sum().backward()
    gradient = large.reconstruction.layers[0].weight.grad
    assert gradient[:, : 4 * first].any() and gradient[:, 4 * (first + central) :].any()


def test_a_shorter_window_cannot_grow_from_a_longer_one() -> None:
    small, large = (build(name, 4, 16, 0.25) for name in ("f1", "f5"))
    before = small.reconstruction.layers[0].weight.clone()
    assert "reconstruction.layers.0.weight" not in grow_from(small, large.state_dict())
    assert torch.equal(small.reconstruction.layers[0].weight, before)


def test_a_predictor_starts_from_its_pretraining() -> None:
    network = build("f5warp", scale=4, size=16, width=0.25)
    state = {name: torch.full_like(v, 2) for name, v in network.predictor.state_dict().items()}
    assert start_from(network.predictor, state) == sorted(state)
    assert all((value == 2).all() for value in network.predictor.parameters())
    assert start_from(network, {"unknown": torch.zeros(1)}) == []
