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
Intermediate values go to memory that is kept (`Scratch`).

Suffixes: N images, C entering and O leaving channels, F frequencies, tiles t, S pixels.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.reconstruction import Reconstruction
from model.scratch import Scratch

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
    scratch = Scratch()
    layers = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    steps = [fast_layer(layer, side, scratch) for layer in layers]

    def apply(stack: Tensor) -> Tensor:
        for step in steps[:-1]:
            stack = step(stack).relu_()
        return steps[-1](stack).sigmoid_()

    return apply


def fast_sequence(layers: nn.Sequential, side: int) -> Apply:
    """Layers one after the other for inference on CPU, on maps of S = side (P's trunk)."""
    scratch = Scratch()
    steps = [fast_layer(x, side, scratch) if isinstance(x, nn.Conv2d) else x for x in layers]

    def apply(maps: Tensor) -> Tensor:
        for step in steps:
            maps = step(maps)
        return maps

    return apply


def fast_layer(layer: nn.Conv2d, side: int, scratch: Scratch | None = None) -> Apply:
    """The faster way to apply a same-size convolution N×C×S×S → N×O×S×S, S = side.

    Layers that are applied one after the other may share a `scratch`.
    """
    kernel = layer.kernel_size[0]
    if min(layer.in_channels, layer.out_channels) < WORTH_CHANNELS:
        return layer
    if kernel >= WORTH_KERNEL and side >= KEPT:
        return tiled_convolution(layer, scratch)
    return winograd_convolution(layer, scratch) if kernel == 3 and side >= KEPT else layer


def tiled_convolution(layer: nn.Conv2d, scratch: Scratch | None = None) -> Apply:
    """Apply a convolution of odd kernel k and padding k // 2 by tiled transforms, any size.

    Takes the layer's own padding mode. Memory for the weights is 3 n (n / 2 + 1) / k² of theirs.
    """
    kernel = layer.kernel_size[0]
    tile = KEPT + kernel - 1
    weights_FCO = _transformed(layer.weight.detach(), tile)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()
    memory = scratch or Scratch()

    def apply(maps_NCSS: Tensor) -> Tensor:
        return _convolve(maps_NCSS, weights_FCO, bias, kernel, mode, memory)

    return apply


def winograd_convolution(layer: nn.Conv2d, scratch: Scratch | None = None) -> Apply:
    """Apply a 3 × 3 convolution with padding 1 by Winograd's F(4 × 4, 3 × 3), any size."""
    to, filters, back = _winograd_matrices()
    weights_FCO = _filters(filters, layer.weight.detach())
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()
    memory = scratch or Scratch()
    entering, leaving = weights_FCO.shape[1:]

    def some(maps_NCSS: Tensor) -> Tensor:
        tiles = _tiles(maps_NCSS, 3, 4, mode, memory)
        places = math.prod(tiles.shape[2:5])
        values = torch.mm(to, tiles.view(36, -1), out=memory("one", 36, places * entering))
        values = torch.bmm(
            values.view(36, places, entering), weights_FCO, out=memory("other", 36, places, leaving)
        )
        values = torch.mm(back, values.view(36, -1), out=memory("one", 16, places * leaving))
        tiles = values.view(4, 4, *tiles.shape[2:5], leaving)
        return _image(tiles, maps_NCSS.shape[2], maps_NCSS.shape[3], bias)

    def apply(maps_NCSS: Tensor) -> Tensor:
        return torch.cat([some(images) for images in maps_NCSS.split(WINOGRAD_IMAGES)])

    return apply


def _convolve(
    maps_NCSS: Tensor,
    weights_FCO: Tensor,
    bias: Tensor | None,
    kernel: int,
    mode: str,
    scratch: Scratch,
) -> Tensor:
    frequencies, entering, leaving = weights_FCO.shape
    tile, half = KEPT + kernel - 1, (KEPT + kernel - 1) // 2 + 1
    to_y, to_x, from_x, from_y = _matrices(tile, KEPT)
    tiles = _tiles(maps_NCSS, kernel, KEPT, mode, scratch)
    places = math.prod(tiles.shape[2:5])
    into, out_of = places * entering, places * leaving
    # Two pieces of memory, in turn: a step reads the one and writes the other.
    values = torch.mm(to_y, tiles.view(tile, -1), out=scratch("one", 2 * half, tile * into))
    values = torch.bmm(
        to_x.expand(half, -1, -1),
        values.view(half, 2 * tile, into),
        out=scratch("other", half, 3 * tile, into),
    )
    values = torch.bmm(
        values.view(frequencies, places, entering),
        weights_FCO,
        out=scratch("one", frequencies, places, leaving),
    )
    values = torch.bmm(
        from_x.expand(half, -1, -1),
        values.view(half, 3 * tile, out_of),
        out=scratch("other", half, 2 * KEPT, out_of),
    )
    values = torch.mm(from_y, values.view(2 * half, -1), out=scratch("one", KEPT, KEPT * out_of))
    tiles = values.view(KEPT, KEPT, *tiles.shape[2:5], leaving)
    return _image(tiles, maps_NCSS.shape[2], maps_NCSS.shape[3], bias)


def _image(tiles: Tensor, rows: int, columns: int, bias: Tensor | None) -> Tensor:
    """Tiles kept×kept×N×(down)×(across)×O side by side, cut to the image, plus bias → N×O×S×S."""
    kept, _, count, down, across, leaving = tiles.shape
    # A copy always: what leaves this file must not lie in the scratch memory.
    image = tiles.permute(2, 3, 0, 4, 1, 5).clone(memory_format=torch.contiguous_format)
    image = image.view(count, down * kept, across * kept, leaving)[:, :rows, :columns]
    return (image if bias is None else image.add_(bias)).permute(0, 3, 1, 2)


def _tiles(maps_NCSS: Tensor, kernel: int, kept: int, mode: str, scratch: Scratch) -> Tensor:
    """The padded maps as overlapping tiles n×n×N×(down)×(across)×C, n = kept + k - 1, copied."""
    rows, columns = maps_NCSS.shape[2:]
    padded = functional.pad(maps_NCSS, (kernel // 2,) * 4, mode=mode)
    # What lies beyond the last whole tile is cut off afterwards.
    beyond = (0, -columns % kept, 0, -rows % kept)
    if any(beyond):
        padded = functional.pad(padded, beyond)
    tile = kept + kernel - 1
    last = padded.permute(0, 2, 3, 1).contiguous()
    tiles = last.unfold(1, tile, kept).unfold(2, tile, kept).permute(4, 5, 0, 1, 2, 3)
    return scratch("tiles", *tiles.shape).copy_(tiles)


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
