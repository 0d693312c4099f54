"""F: the transposed convolution starts as bilinear upsampling, in place to the pixel."""

import pytest
import torch
from torch.nn import functional

from model.layers.features import FeatureExtractor, enlarge, upsampling


@pytest.mark.parametrize(("scale", "size"), [(8, 128), (4, 128), (4, 64), (2, 16)])
def test_starts_as_bilinear_upsampling(scale: int, size: int) -> None:
    """Output pixel o reads low coordinate (o + ½) / scale - ½, as interpolate(bilinear) does."""
    extractor = FeatureExtractor(scale, size).double()
    low = torch.rand(2, 3, size // scale, size // scale, dtype=torch.float64)
    expected = functional.interpolate(low, scale_factor=scale, mode="bilinear")
    assert (extractor.enlarge(low) - expected).abs().max() < 1e-9


def test_inside_it_is_the_plain_layer() -> None:
    extractor = FeatureExtractor(8, 64)
    torch.nn.init.normal_(extractor.upsample.weight)
    low = torch.rand(1, 3, 8, 8)
    inner = (..., slice(8, -8), slice(8, -8))
    plain = extractor.upsample(low)
    assert plain.shape == (1, 3, 64, 64)
    assert torch.allclose(extractor.enlarge(low)[inner], plain[inner], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_it_is_torchs_transposed_convolution_of_the_extended_frame(scale: int) -> None:
    """Value and gradients, border and bias included, in float64."""
    layer = upsampling(scale).double()
    low = torch.rand(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    extended = functional.pad(low, (1, 1, 1, 1), mode="replicate")
    expected = functional.conv_transpose2d(
        extended, layer.weight, layer.bias, stride=scale, padding=scale // 2 + scale
    )
    found = enlarge(layer, low)
    assert layer.bias is not None
    assert layer.bias.abs().min() > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    wanted = [low, layer.weight, layer.bias]
    weights = torch.rand_like(found)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_an_edge_keeps_its_place() -> None:
    """A step between low columns 7 and 8 crosses half its height between high columns 63 and 64."""
    extractor = FeatureExtractor(8, 128)
    low = torch.zeros(1, 3, 16, 16)
    low[..., 8:] = 1
    row = extractor(low)[0, 0, 64].detach()
    assert float(row[63] + row[64]) == pytest.approx(1.0, abs=1e-6)
    assert row[63] < 0.5 < row[64]
    assert row[:60].max() == 0 and row[68:].min() == 1


def test_gives_colours_and_one_drawn_map() -> None:
    extractor = FeatureExtractor(4, 32)
    low = torch.rand(2, 3, 8, 8)
    maps = extractor(low)
    assert maps.shape == (2, 4, 32, 32)
    assert torch.equal(maps[:, :3], extractor.enlarge(low))
    assert not maps[:, 3].any()  # before training
    torch.nn.init.normal_(extractor.drawing[-1].weight)
    drawn = extractor.drawing(low.flatten(1)).view(2, 32, 32)
    assert drawn.any() and torch.equal(extractor(low)[:, 3], drawn)


def test_second_stream_has_the_widths_of_the_design() -> None:
    extractor = FeatureExtractor(8, 128)
    shapes = [tuple(layer.weight.shape) for layer in extractor.drawing[::2]]
    assert shapes == [(256, 768), (256, 256), (256, 256), (16384, 256)]
    assert extractor.upsample.kernel_size == (16, 16)
    assert extractor.upsample.stride == (8, 8)
    assert extractor.upsample.padding == (4, 4)
