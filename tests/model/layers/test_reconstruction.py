"""R: its layers, reflection padding, and the starts that need no clips."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from model.layers.reconstruction import Reconstruction


def test_has_the_layers_of_the_design() -> None:
    layers = Reconstruction(100, 48).layers
    assert [layer.out_channels for layer in layers] == [16, 32, 64, 64, 64, 32, 16, 3]
    assert [layer.kernel_size[0] for layer in layers] == [5, 7, 7, 7, 7, 7, 5, 5]
    assert layers[0].in_channels == 100


def test_width_multiplies_the_filters_and_the_ends_keep_theirs() -> None:
    def filters(width: float) -> list[int]:
        return [layer.out_channels for layer in Reconstruction(4, 0, width=width).layers]

    assert filters(0.5) == [16, 16, 32, 32, 32, 16, 16, 3]
    assert filters(0.25) == [16, 9, 16, 16, 16, 8, 16, 3]
    assert filters(2) == [32, 64, 128, 128, 128, 64, 32, 3]


def test_borders_are_reflected_without_repeating_the_edge() -> None:
    """First layer against correlate2d(np.pad(x, 2, 'reflect'), w, 'valid')."""
    layer = Reconstruction(1, 0, width=0.25, start="kaiming").layers[0].double()
    image = np.random.default_rng(0).normal(size=(9, 9))
    expected = correlate2d(
        np.pad(image, 2, mode="reflect"), layer.weight[1, 0].detach().numpy(), mode="valid"
    )
    given = layer(torch.from_numpy(image)[None, None])[0, 1].detach().numpy()
    assert np.abs(given - expected).max() < 1e-12
    assert {layer.padding_mode for layer in Reconstruction(4, 0).layers} == {"reflect"}


def test_passthrough_starts_from_the_central_frame() -> None:
    """Output = sigmoid(5.2 x - 2.6) of the central colours, whatever the other channels hold."""
    network = Reconstruction(12, 4, width=0.5)
    stack = torch.randn(2, 12, 16, 16)
    stack[:, 4:7] = torch.rand(2, 3, 16, 16)
    expected = torch.sigmoid(5.2 * stack[:, 4:7] - 2.6)
    assert torch.allclose(network(stack), expected, atol=1e-6)


def test_every_layer_still_learns_from_the_passthrough() -> None:
    network = Reconstruction(4, 0, width=0.5)
    target = torch.rand(1, 3, 16, 16)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        (network(torch.rand(1, 4, 16, 16)) - target).square().sum().backward()
        optimizer.step()
    for layer in network.layers:
        assert isinstance(layer, nn.Conv2d)
        assert layer.weight.grad[3:].any() or layer is network.layers[-1]


def test_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match="passthrough, kaiming"):
        Reconstruction(4, 0, start="zeros")
