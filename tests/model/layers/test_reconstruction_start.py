"""R started as the linear restoration makes that restoration's picture, at any size."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from model.layers.linear import LinearRestoration
from model.layers.reconstruction_start import KNOTS, _inverse_sigmoid
from model.linear_fit import fit_linear, start_linear
from model.metrics import psnr_luma
from model.network import Network, build


def clips(num_frames: int, scale: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """12 clips N×T×3×h×w of pictures N×3×S×S that move a little between frames."""
    coarse = torch.rand(12, 3, size // scale // 2, size // scale // 2)
    truth = functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0.05, 0.95)
    frames = [torch.roll(truth, (step % 3 - 1), dims=3) for step in range(num_frames)]
    frames[num_frames // 2] = truth
    low = functional.avg_pool2d(torch.stack(frames, 1).flatten(0, 1), scale)
    return low.unflatten(0, (12, num_frames)), truth


@pytest.mark.parametrize(
    ("variant", "scale", "size", "width"),
    [
        ("f1", 4, 32, 0.25), ("f5", 4, 32, 0.125), ("f5warp", 4, 32, 0.25),
        ("f5warp", 8, 64, 0.25), ("f25warp", 2, 16, 1.0),
    ],
)  # fmt: skip
def test_starts_as_the_filters(variant: str, scale: int, size: int, width: float) -> None:
    """PSNR of R's first picture and of the filters' to the truth differ by 0.05 dB at most."""
    torch.manual_seed(0)
    network = build(variant, scale, size, width)
    assert isinstance(network, Network)
    if network.predictor is not None:
        nn.init.normal_(network.predictor.last.weight, std=0.01)
    low, truth = clips(network.num_frames, scale, size)
    counterpart = fit_linear(network, low, truth)
    start_linear(network, counterpart)
    with torch.no_grad():
        given, expected = network(low), counterpart(low)
    # At the PSNR of real faces: these pictures are easier, and 0.004 RMS would weigh more in them.
    noise = 0.05 * torch.randn(truth.shape)
    one, two = (psnr_luma(image, truth + noise).mean() for image in (given, expected))
    assert abs(float(one - two)) < 0.05
    assert float((given - expected).square().mean().sqrt()) < 0.006


def test_every_layer_learns_from_the_start() -> None:
    torch.manual_seed(1)
    network = build("f5warp", 4, 32, 0.25)
    assert isinstance(network, Network)
    low, truth = clips(5, 4, 32)
    start_linear(network, fit_linear(network, low, truth))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    for _ in range(3):
        optimiser.zero_grad()
        (network(low) - truth).square().sum().backward()
        optimiser.step()
    for layer in network.reconstruction.layers:  # type: ignore[union-attr]
        assert layer.weight.grad.flatten(1).any(dim=1).all()


def test_the_broken_line_undoes_the_sigmoid() -> None:
    """a + Σ b_j max(0, x - t_j) ≈ log(x / (1 - x)): 0.004 RMS of the sigmoid over [0.02, 0.98]."""
    constant, *slopes = _inverse_sigmoid()
    x = np.linspace(0, 1, 1001)
    line = constant + sum(b * np.maximum(x - t, 0) for b, t in zip(slopes, KNOTS, strict=True))
    error = np.abs(1 / (1 + np.exp(-line)) - x)
    assert np.sqrt((error[20:981] ** 2).mean()) < 0.004
    assert error.max() < 0.025


def test_too_narrow_layers_are_refused() -> None:
    network = build("f1", 4, 16, 0.25)
    assert isinstance(network, Network)
    network.reconstruction.layers[1] = nn.Conv2d(16, 8, 7, padding=3)  # type: ignore[operator]
    with pytest.raises(ValueError, match="layer 2 of R has 8 filters, expected 9"):
        network.reconstruction.start_as(LinearRestoration(1), 4)  # type: ignore[operator]
