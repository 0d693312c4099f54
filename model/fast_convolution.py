"""Large convolutions on CPU as tiled discrete Fourier transforms, all of it matrix products.

A k × k convolution of C into O maps costs k² C O multiplications a pixel. Cut into overlapping
tiles of n = m + k - 1 pixels (m kept), each tile is transformed along y and x by constant matrices,
the frequencies are multiplied channel by channel, and m × m pixels are transformed back. A complex
product of frequencies is three real ones (Gauss), whose sums are folded into the constant matrices:

    P1 = (Xr + Xi) Wr     P2 = Xr (Wi - Wr)     P3 = Xi (Wr + Wi)     Y = (P1 - P3) + i (P1 + P2)

so that all five steps are real GEMMs. On one core (AVX2) a 64 → 64 convolution of 7 × 7 on 128 ×
128 takes 24 ms instead of 84 (n = 22), and the difference is rounding, about 1e-6. Inference only:
the weights are transformed once a call of `restore`. GPUs have better ways of their own.

Suffixes: N images, C entering and O leaving channels, F frequencies, tiles t, S pixels.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.reconstruction import Reconstruction

KEPT = 16
# With fewer channels, or smaller kernels than R's 7 × 7 (P's 3 × 3 were tried), the direct
# convolution of oneDNN is as fast or faster.
WORTH_CHANNELS = 32
WORTH_KERNEL = 7
Apply = Callable[[Tensor], Tensor]


def fast_reconstruction(network: Reconstruction, side: int) -> Apply:
    """R for inference on CPU: N×C×S×S → N×3×S×S, S = side; large layers as tiled transforms."""
    steps = [fast_layer(layer, side) for layer in network.layers if isinstance(layer, nn.Conv2d)]

    def apply(stack: Tensor) -> Tensor:
        for step in steps[:-1]:
            stack = step(stack).relu_()
        return steps[-1](stack).sigmoid_()

    return apply


def fast_layer(layer: nn.Conv2d, side: int) -> Apply:
    """The faster way to apply a same-size convolution N×C×S×S → N×O×S×S, S = side."""
    channels = min(layer.in_channels, layer.out_channels)
    worth = channels >= WORTH_CHANNELS and layer.kernel_size[0] >= WORTH_KERNEL and side >= KEPT
    return tiled_convolution(layer) if worth else layer


def tiled_convolution(layer: nn.Conv2d) -> Apply:
    """Apply a convolution of odd kernel k and padding k // 2 by tiled transforms, any size.

    Takes the layer's own padding mode. Memory for the weights is 3 n (n / 2 + 1) / k² of theirs.
    """
    kernel = layer.kernel_size[0]
    tile = KEPT + kernel - 1
    weights_FCO = _transformed(layer.weight.detach(), tile)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()

    def apply(maps_NCSS: Tensor) -> Tensor:
        return _convolve(maps_NCSS, weights_FCO, bias, kernel, mode)

    return apply


def _convolve(
    maps_NCSS: Tensor, weights_FCO: Tensor, bias: Tensor | None, kernel: int, mode: str
) -> Tensor:
    count, _, rows, columns = maps_NCSS.shape
    tile, half = KEPT + kernel - 1, (KEPT + kernel - 1) // 2 + 1
    down, across = -(-rows // KEPT), -(-columns // KEPT)
    to_y, to_x, from_x, from_y = _matrices(tile, KEPT)
    padded = functional.pad(maps_NCSS, (kernel // 2,) * 4, mode=mode)
    # What lies beyond the last whole tile is cut off below.
    padded = functional.pad(padded, (0, across * KEPT - columns, 0, down * KEPT - rows))
    last = padded.permute(0, 2, 3, 1).contiguous()
    tiles = last.unfold(1, tile, KEPT).unfold(2, tile, KEPT).permute(4, 5, 0, 1, 2, 3)
    values = to_y @ tiles.reshape(tile, -1)
    values = to_x @ values.view(half, 2 * tile, -1)
    values = torch.bmm(values.view(len(weights_FCO), -1, weights_FCO.shape[1]), weights_FCO)
    values = from_x @ values.view(half, 3 * tile, -1)
    values = from_y @ values.view(2 * half, -1)
    leaving = weights_FCO.shape[2]
    image = values.view(KEPT, KEPT, count, down, across, leaving).permute(2, 3, 0, 4, 1, 5)
    image = image.reshape(count, down * KEPT, across * KEPT, leaving)[:, :rows, :columns]
    return (image if bias is None else image + bias).permute(0, 3, 1, 2)


def _transformed(weights_OCkk: Tensor, tile: int) -> Tensor:
    """Fourier transform of the filters, conjugate since layers correlate, as Gauss's three."""
    whole = torch.fft.fft2(weights_OCkk.double(), s=(tile, tile)).conj()[:, :, : tile // 2 + 1]
    real, imaginary = whole.real, whole.imag
    three = torch.stack((real, imaginary - real, real + imaginary))
    ordered = three.permute(3, 4, 0, 2, 1).flatten(0, 2)
    return ordered.to(weights_OCkk.dtype).contiguous()


@lru_cache(maxsize=8)
def _matrices(tile: int, kept: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The constant matrices: along y, along x (giving Xr + Xi, Xr, Xi), back along x, and y."""
    with torch.inference_mode(False):
        half = tile // 2 + 1
        place = torch.arange(tile, dtype=torch.float64)
        angle = 2 * math.pi * torch.outer(place, place) / tile
        cosine, sine = angle.cos(), angle.sin()
        to_y = torch.stack((cosine[:half], -sine[:half]), dim=1).flatten(0, 1)
        real, imaginary = torch.cat((cosine, sine), 1), torch.cat((-sine, cosine), 1)
        to_x = torch.stack((real + imaginary, real, imaginary), dim=1).flatten(0, 1)
        c, s = cosine[:kept] / tile, sine[:kept] / tile
        back_real = torch.stack((c - s, -s, -c), dim=2).flatten(1)
        back_imaginary = torch.stack((c + s, c, -s), dim=2).flatten(1)
        from_x = torch.cat((back_real, back_imaginary))
        # A real signal: frequencies 1 … n/2 - 1 stand for their mirror images too.
        twice = torch.full((half,), 2.0 / tile, dtype=torch.float64)
        twice[0] = 1 / tile
        if tile % 2 == 0:
            twice[-1] = 1 / tile
        from_y = torch.stack(
            (twice * cosine[:kept, :half], -twice * sine[:kept, :half]), dim=2
        ).flatten(1)
        return to_y.float(), to_x.float(), from_x.float(), from_y.float()
