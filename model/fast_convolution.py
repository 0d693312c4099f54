"""Large convolutions on CPU as tiled transforms, all of it matrix products.

R's layers of 7 × 7 go through discrete Fourier transforms, P's of 3 × 3 through Winograd's.

A k × k convolution of C into O maps costs k² C O multiplications a pixel. Cut into overlapping
tiles of n = m + k - 1 pixels (m kept), each tile is transformed along y and x by constant matrices,
the frequencies are multiplied channel by channel, and m × m pixels are transformed back. A complex
product of frequencies is three real ones (Gauss), whose sums are folded into the constant matrices:

    P1 = (Xr + Xi) Wr     P2 = Xr (Wi - Wr)     P3 = Xi (Wr + Wi)     Y = (P1 - P3) + i (P1 + P2)

so that all five steps are real GEMMs. On one core (AVX2) a 64 → 64 convolution of 7 × 7 on 128 ×
128 takes 24 ms instead of 84 (n = 22), and the difference is rounding, about 1e-6. Inference only:
the weights are transformed once a call of `restore`. GPUs have better ways of their own. Of P's 100
→ 100 convolution of 3 × 3 on 24 × 16 × 16, Winograd's tiles of 6 (4 kept) take about 10 ms of 17.

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
# With fewer channels, or kernels of 5 × 5 (R's first layer was tried), the direct convolution of
# oneDNN is as fast or faster.
WORTH_CHANNELS = 32
WORTH_KERNEL = 7
# More at once, all 36 frequencies of them, fall out of a core's caches.
WINOGRAD_IMAGES = 8
Apply = Callable[[Tensor], Tensor]


def fast_reconstruction(network: Reconstruction, side: int) -> Apply:
    """R for inference on CPU: N×C×S×S → N×3×S×S, S = side; large layers as tiled transforms."""
    steps = [fast_layer(layer, side) for layer in network.layers if isinstance(layer, nn.Conv2d)]

    def apply(stack: Tensor) -> Tensor:
        for step in steps[:-1]:
            stack = step(stack).relu_()
        return steps[-1](stack).sigmoid_()

    return apply


def fast_sequence(layers: nn.Sequential, side: int) -> Apply:
    """Layers one after the other for inference on CPU, on maps of S = side (P's trunk)."""
    steps = [fast_layer(x, side) if isinstance(x, nn.Conv2d) else x for x in layers]

    def apply(maps: Tensor) -> Tensor:
        for step in steps:
            maps = step(maps)
        return maps

    return apply


def fast_layer(layer: nn.Conv2d, side: int) -> Apply:
    """The faster way to apply a same-size convolution N×C×S×S → N×O×S×S, S = side."""
    kernel = layer.kernel_size[0]
    if min(layer.in_channels, layer.out_channels) < WORTH_CHANNELS:
        return layer
    if kernel >= WORTH_KERNEL and side >= KEPT:
        return tiled_convolution(layer)
    return winograd_convolution(layer) if kernel == 3 and side >= KEPT else layer


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


def winograd_convolution(layer: nn.Conv2d) -> Apply:
    """Apply a 3 × 3 convolution with padding 1 by Winograd's F(4 × 4, 3 × 3), any size."""
    to, filters, back = _winograd_matrices()
    weights_FCO = _filters(filters, layer.weight.detach())
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()

    def some(maps_NCSS: Tensor) -> Tensor:
        count, _, rows, columns = maps_NCSS.shape
        tiles = _tiles(maps_NCSS, 3, 4, mode)
        down, across = tiles.shape[3:5]
        values = (to @ tiles.reshape(36, -1)).view(36, -1, weights_FCO.shape[1])
        values = back @ torch.bmm(values, weights_FCO).view(36, -1)
        image = values.view(4, 4, count, down, across, -1).permute(2, 3, 0, 4, 1, 5)
        image = image.reshape(count, down * 4, across * 4, -1)[:, :rows, :columns]
        return (image if bias is None else image + bias).permute(0, 3, 1, 2)

    def apply(maps_NCSS: Tensor) -> Tensor:
        return torch.cat([some(images) for images in maps_NCSS.split(WINOGRAD_IMAGES)])

    return apply


def _convolve(
    maps_NCSS: Tensor, weights_FCO: Tensor, bias: Tensor | None, kernel: int, mode: str
) -> Tensor:
    count, _, rows, columns = maps_NCSS.shape
    tile, half = KEPT + kernel - 1, (KEPT + kernel - 1) // 2 + 1
    to_y, to_x, from_x, from_y = _matrices(tile, KEPT)
    tiles = _tiles(maps_NCSS, kernel, KEPT, mode)
    down, across = tiles.shape[3:5]
    values = to_y @ tiles.reshape(tile, -1)
    values = to_x @ values.view(half, 2 * tile, -1)
    values = torch.bmm(values.view(len(weights_FCO), -1, weights_FCO.shape[1]), weights_FCO)
    values = from_x @ values.view(half, 3 * tile, -1)
    values = from_y @ values.view(2 * half, -1)
    leaving = weights_FCO.shape[2]
    image = values.view(KEPT, KEPT, count, down, across, leaving).permute(2, 3, 0, 4, 1, 5)
    image = image.reshape(count, down * KEPT, across * KEPT, leaving)[:, :rows, :columns]
    return (image if bias is None else image + bias).permute(0, 3, 1, 2)


def _tiles(maps_NCSS: Tensor, kernel: int, kept: int, mode: str) -> Tensor:
    """View of the padded maps as overlapping tiles: n×n×N×(down)×(across)×C, n = kept + k - 1."""
    rows, columns = maps_NCSS.shape[2:]
    padded = functional.pad(maps_NCSS, (kernel // 2,) * 4, mode=mode)
    # What lies beyond the last whole tile is cut off afterwards.
    beyond = (0, -columns % kept, 0, -rows % kept)
    if any(beyond):
        padded = functional.pad(padded, beyond)
    tile = kept + kernel - 1
    last = padded.permute(0, 2, 3, 1).contiguous()
    return last.unfold(1, tile, kept).unfold(2, tile, kept).permute(4, 5, 0, 1, 2, 3)


def _transformed(weights_OCkk: Tensor, tile: int) -> Tensor:
    """Fourier transform of the filters, conjugate since layers correlate, as Gauss's three."""
    kernel = weights_OCkk.shape[-1]
    place = torch.arange(tile, dtype=torch.float64)
    phase_y = torch.outer(place[: tile // 2 + 1], place[:kernel])
    phase_x = torch.outer(place, place[:kernel])
    angle = 2 * math.pi / tile * (phase_y[:, None, :, None] + phase_x[None, :, None, :])
    real, imaginary = angle.cos(), angle.sin()
    three = torch.stack((real, imaginary - real, real + imaginary), dim=2)
    return _filters(three.flatten(3).flatten(0, 2), weights_OCkk)


def _filters(matrix: Tensor, weights_OCkk: Tensor) -> Tensor:
    """A float64 F×k² matrix applied to the filters O×C×k×k, as one product → F×C×O."""
    leaving, entering = weights_OCkk.shape[:2]
    columns = weights_OCkk.double().permute(2, 3, 1, 0).reshape(matrix.shape[1], -1)
    return (matrix @ columns).to(weights_OCkk.dtype).view(-1, entering, leaving)


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


@lru_cache(maxsize=1)
def _winograd_matrices() -> tuple[Tensor, Tensor, Tensor]:
    """36×36 for a tile, 36×9 (float64) for a filter, 16×36 for the way back.

    A product of polynomials is known by its values at 0, ±1, ½, -2 and infinity (Toom and Cook);
    with V the matrix of powers of these points, y = V₄ᵀ (V₃ g · V₆⁻ᵀ d), along both axes. These
    points lose half as many digits as 0, ±1, ±2 do.
    """
    with torch.inference_mode(False):
        points = torch.tensor((0, 1, -1, 0.5, -2), dtype=torch.float64)

        def powers(count: int) -> Tensor:
            infinity = torch.zeros(1, count, dtype=torch.float64)
            infinity[0, -1] = 1
            return torch.cat((points[:, None] ** torch.arange(count), infinity))

        to, filters, back = torch.linalg.inv(powers(6)).T, powers(3), powers(4).T
        to, filters, back = (
            torch.kron(m.contiguous(), m.contiguous()) for m in (to, filters, back)
        )
        return to.float(), filters, back.float()
