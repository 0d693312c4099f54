"""The feature extractor F (paper §3, after Tuzel et al. 2016): a frame becomes D = 4 maps.

Stream 1 is one transposed convolution that starts as bilinear upsampling, stream 2 four fully
connected layers that draw one global map. Ours, where the paper is silent: the low frame is
extended by its border pixels before the transposed convolution, and the extension's output is cut
off, so that the upsampled image does not fade to black along its border; inside, it is the plain
transposed convolution of kernel 2·scale, stride scale, padding scale / 2.

Suffixes: N images, h w low pixels, S high pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

DEPTH = 4
HIDDEN = 256


class FeatureExtractor(nn.Module):
    """F: N×3×h×h low frames in [0, 1] → N×4×S×S maps, the upsampled colours first."""

    def __init__(self, scale: int, size: int) -> None:
        super().__init__()
        self.size = size
        low = size // scale
        self.upsample = upsampling(scale)
        self.drawing = nn.Sequential(
            nn.Linear(3 * low * low, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, size * size),
        )
        start_as_bilinear(self.upsample)
        _start_drawing(self.drawing)

    def forward(self, low: Tensor) -> Tensor:
        """N×3×h×w in [0, 1] → N×4×S×S."""
        low = low.to(self.upsample.weight.dtype)
        drawn = self.drawing(low.flatten(1)).view(-1, 1, self.size, self.size)
        return torch.cat((self.enlarge(low), drawn), dim=1)

    def enlarge(self, low: Tensor) -> Tensor:
        """Stream 1: N×3×h×w → N×3×S×S; bilinear upsampling before training."""
        return enlarge(self.upsample, low)


class Enlargement(nn.Module):
    """Stream 1 alone, untrained: N×3×h×w low frames in [0, 1] → N×3×S×S, bilinear."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.upsample = upsampling(scale).requires_grad_(False)
        start_as_bilinear(self.upsample)

    def forward(self, low: Tensor) -> Tensor:
        """N×3×h×w in [0, 1] → N×3×S×S."""
        return enlarge(self.upsample, low.to(self.upsample.weight.dtype))


def upsampling(scale: int) -> nn.ConvTranspose2d:
    """The transposed convolution of stream 1, colours in and out."""
    return nn.ConvTranspose2d(3, 3, kernel_size=2 * scale, stride=scale, padding=scale // 2)


def enlarge(layer: nn.ConvTranspose2d, low: Tensor) -> Tensor:
    """N×3×h×w through stream 1's layer → N×3×S×S, with the low frame extended by its border.

    A block of scale × scale output pixels hangs on 2 × 2 low ones, so the transposed convolution is
    computed as a convolution into 3·scale² channels that are then put in their places: on a CPU
    torch's transposed one takes 1.5 times as long with three channels, and 8 times in bf16.
    """
    scale, colours = layer.stride[0], layer.out_channels
    taps = layer.weight.view(-1, colours, 2, scale, 2, scale).flip(2, 4)
    taps = taps.permute(1, 3, 5, 0, 2, 4).reshape(colours * scale**2, -1, 2, 2)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(scale**2)
    extended = functional.pad(low, (1, 1, 1, 1), mode="replicate")
    blocks = functional.pixel_shuffle(functional.conv2d(extended, taps, bias), scale)
    inside = slice(scale // 2, -(scale // 2))
    return blocks[..., inside, inside]


def start_as_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Set a transposed convolution of kernel 2·scale to bilinear upsampling, channel by channel.

    Low pixel i sits at high coordinate scale·i + (scale - 1) / 2, as the degradation samples it.
    """
    scale = layer.stride[0]
    offset = torch.arange(2 * scale, dtype=torch.float64) - (scale - 0.5)
    line = 1 - offset.abs() / scale
    kernel = torch.outer(line, line).to(layer.weight.dtype)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(layer.in_channels):
            layer.weight[channel, channel] = kernel
        if layer.bias is not None:
            layer.bias.zero_()


def _start_drawing(layers: nn.Sequential) -> None:
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(linear[-1].weight)
