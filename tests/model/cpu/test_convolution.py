"""Tiled transforms give what the layer gives."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from model.cpu.convolution import (
    Apply,
    fast_layer,
    fast_reconstruction,
    fast_sequence,
    tiled_convolution,
    winograd_convolution,
)
from model.layers.reconstruction import Reconstruction


@pytest.mark.parametrize(("kernel", "mode"), [(7, "reflect"), (5, "reflect"), (3, "zeros")])
@pytest.mark.parametrize("shape", [(16, 16), (40, 33), (9, 64)])
def test_equals_the_layer_in_float64(kernel: int, mode: str, shape: tuple[int, int]) -> None:
    layer = nn.Conv2d(5, 6, kernel, padding=kernel // 2, padding_mode=mode)
    maps = torch.randn(3, 5, *shape)
    expected = nn.Conv2d(5, 6, kernel, padding=kernel // 2, padding_mode=mode).double()
    expected.load_state_dict(layer.state_dict())
    with torch.no_grad():
        given = tiled_convolution(layer)(maps)
        assert (given - expected(maps.double())).abs().max() < 2e-6


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
@pytest.mark.parametrize("shape", [(16, 16), (9, 14), (3, 5)])
def test_winograd_equals_the_layer_in_float64(mode: str, shape: tuple[int, int]) -> None:
    layer = nn.Conv2d(5, 6, 3, padding=1, padding_mode=mode)
    maps = torch.randn(9, 5, *shape)
    expected = nn.Conv2d(5, 6, 3, padding=1, padding_mode=mode).double()
    expected.load_state_dict(layer.state_dict())
    with torch.no_grad():
        given = winograd_convolution(layer)(maps)
        assert (given - expected(maps.double())).abs().max() < 1e-5


@pytest.mark.parametrize(("make", "kernel"), [(tiled_convolution, 7), (winograd_convolution, 3)])
def test_a_result_is_not_overwritten_by_the_next(
    make: Callable[[nn.Conv2d], Apply], kernel: int
) -> None:
    """16 × 16 is a single tile of the transforms, whose image could be a view of what is kept."""
    apply = make(nn.Conv2d(4, 4, kernel, padding=kernel // 2))
    maps = torch.randn(2, 1, 4, 16, 16)
    with torch.no_grad():
        first = apply(maps[0])
        before = first.clone()
        apply(maps[1])
    assert torch.equal(first, before)


def test_a_sequence_is_the_same() -> None:
    layers = nn.Sequential(nn.ReLU(), nn.Conv2d(40, 48, 3, padding=1), nn.ReLU())
    maps = torch.randn(2, 40, 16, 16)
    with torch.no_grad():
        assert (fast_sequence(layers, 16)(maps) - layers(maps)).abs().max() < 1e-5


def test_small_layers_stay_direct_and_large_ones_do_not() -> None:
    small = nn.Conv2d(8, 64, 7, padding=3)
    assert fast_layer(small, 128) is small
    large = nn.Conv2d(64, 64, 7, padding=3)
    assert fast_layer(large, 128) is not large
    assert fast_layer(large, 8) is large
    trunk = nn.Conv2d(100, 100, 3, padding=1)
    assert fast_layer(trunk, 16) is not trunk


def test_reconstruction_is_the_same_from_pieces() -> None:
    network = Reconstruction(8, 4, start="kaiming").eval()
    stack = torch.rand(1, 8, 24, 24)
    with torch.no_grad():
        given = fast_reconstruction(network, 24)(stack.split((3, 1, 4), dim=1))
        assert (given - network(stack)).abs().max() < 5e-6
