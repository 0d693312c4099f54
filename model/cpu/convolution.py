"""Large convolutions on CPU as tiled transforms, all of it matrix products.

R's layers of 7 × 7 go through discrete Fourier transforms, P's of 3 × 3 through Winograd's.

A k × k convolution of C into O maps costs k² C O multiplications a pixel. Cut into overlapping
tiles of n = m + k - 1 pixels (m kept), each tile is transformed along y and x by constant matrices,
the frequencies are multiplied channel by channel, and m × m pixels are transformed back. A complex
product of frequencies is three real ones (Gauss), whose sums are folded into the constant matrices:

    P1 = (Xr + Xi) Wr     P2 = Xr (Wi - Wr)     P3 = Xi (Wr + Wi)     Y = (P1 - P3) + i (P1 + P2)

so that all five steps are real GEMMs. On one core (AVX2) a 64 → 64 convolution of 7 × 7 on 128 ×
128 takes 0.3 of the direct one's time (n = 22; 32 → 64: 0.5, 16 → 32: 0.7), and the difference is
rounding, about 1e-6. Inference only: the weights are transformed once a call of `restore`. GPUs
have better ways of their own. Of P's 100 → 100 convolution of 3 × 3 on 24 × 16 × 16, Winograd's
tiles of 6 (4 kept) take 0.6. Intermediate values go to memory that is kept (`Scratch`).

Suffixes: N images, C entering and O leaving channels, F frequencies, tiles t, S pixels.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.cpu.transforms import fourier_filters, fourier_matrices, transformed, winograd_matrices
from model.cpu.workspace import Scratch
from model.layers.reconstruction import Reconstruction

KEPT = 16
# With fewer channels, or kernels of 5 × 5 (R's first layer was tried), the direct convolution of
# oneDNN is as fast or faster.
WORTH_CHANNELS = 16
WORTH_KERNEL = 7
# More at once, all 36 frequencies of them, fall out of a core's caches.
WINOGRAD_IMAGES = 8
Apply = Callable[[Tensor], Tensor]


def fast_reconstruction(network: Reconstruction, side: int) -> Callable[[Iterable[Tensor]], Tensor]:
    """R for inference on CPU: the stack in pieces 1×D×S×S, in its order → 1×3×S×S, S = side."""
    scratch = Scratch()
    first, *others = (layer for layer in network.layers if isinstance(layer, nn.Conv2d))
    steps = [fast_layer(layer, side, scratch) for layer in others]

    def apply(pieces: Iterable[Tensor]) -> Tensor:
        maps = _first_layer(first, pieces, side, scratch)
        for step in steps:
            maps = step(maps.relu_())
        return maps.sigmoid_()

    return apply


def _first_layer(layer: nn.Conv2d, pieces: Iterable[Tensor], side: int, scratch: Scratch) -> Tensor:
    """A direct convolution with reflected border of pieces of its input, channels last.

    So oneDNN takes 13.7 ms and not 19.2 for 100 → 16 channels of 128 × 128; and the pieces are
    copied once, to where they belong, while they are in the cache.
    """
    half = layer.kernel_size[0] // 2
    padded_NSSC = scratch("stack", 1, side + 2 * half, side + 2 * half, layer.in_channels)
    inside, place = padded_NSSC[:, half:-half, half:-half], 0
    for piece in pieces:
        inside[..., place : place + piece.shape[1]] = piece.permute(0, 2, 3, 1)
        place += piece.shape[1]
    _reflect(padded_NSSC, half)
    return functional.conv2d(padded_NSSC.permute(0, 3, 1, 2), layer.weight, layer.bias)


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
    if layer.padding_mode not in ("zeros", "reflect"):
        return layer
    if kernel >= WORTH_KERNEL and side >= KEPT:
        return tiled_convolution(layer, scratch)
    return winograd_convolution(layer, scratch) if kernel == 3 and side >= KEPT else layer


def tiled_convolution(layer: nn.Conv2d, scratch: Scratch | None = None) -> Apply:
    """Apply a convolution of odd kernel k and padding k // 2 by tiled transforms, any size.

    Padding is the layer's own, zeros or reflect. Memory for the weights is 3 n (n / 2 + 1) / k² of
    theirs. With a `scratch` the result lies in it, until the next layer that shares it has run.
    """
    kernel = layer.kernel_size[0]
    tile = KEPT + kernel - 1
    weights_FCO = fourier_filters(layer.weight.detach(), tile)
    mode = layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()
    memory = scratch or Scratch()

    def apply(maps_NCSS: Tensor) -> Tensor:
        image = _convolve(maps_NCSS, weights_FCO, bias, kernel, mode, memory)
        return image if scratch is not None else image.clone()

    return apply


def winograd_convolution(layer: nn.Conv2d, scratch: Scratch | None = None) -> Apply:
    """Apply a 3 × 3 convolution with padding 1 by Winograd's F(4 × 4, 3 × 3), any size."""
    to, filters, back = winograd_matrices()
    weights_FCO = transformed(filters, layer.weight.detach())
    mode = layer.padding_mode
    bias = None if layer.bias is None else layer.bias.detach()
    memory = scratch or Scratch()
    entering, leaving = weights_FCO.shape[1:]

    def some(maps_NCSS: Tensor) -> Tensor:
        tiles = _padded(maps_NCSS, 3, 4, mode, memory).unfold(1, 6, 4).unfold(2, 6, 4)
        tiles = tiles.permute(4, 5, 0, 1, 2, 3)
        places = math.prod(tiles.shape[2:5])
        values = memory("other", *tiles.shape).copy_(tiles).view(36, -1)
        values = torch.mm(to, values, out=memory("one", 36, places * entering))
        values = torch.bmm(
            values.view(36, places, entering), weights_FCO, out=memory("other", 36, places, leaving)
        )
        values = torch.mm(back, values.view(36, -1), out=memory("one", 16, places * leaving))
        tiles = values.view(4, 4, *tiles.shape[2:5], leaving)
        image = _image(tiles, maps_NCSS.shape[2], maps_NCSS.shape[3], memory)
        return image if bias is None else image.add_(bias[:, None, None])

    def apply(maps_NCSS: Tensor) -> Tensor:
        count, _, rows, columns = maps_NCSS.shape
        result = maps_NCSS.new_empty(count, rows, columns, leaving).permute(0, 3, 1, 2)
        for images, place in zip(
            maps_NCSS.split(WINOGRAD_IMAGES), result.split(WINOGRAD_IMAGES), strict=True
        ):
            place.copy_(some(images))
        return result

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
    to_y, to_x, from_x, from_y = fourier_matrices(tile, KEPT)
    last_NSSC = _padded(maps_NCSS, kernel, KEPT, mode, scratch)
    count, _, columns, _ = last_NSSC.shape
    # Along y whole rows are transformed: cut along x before, they would be so where tiles overlap.
    rows = last_NSSC.unfold(1, tile, KEPT).permute(0, 1, 4, 2, 3)
    down = rows.shape[1]
    # Two pieces of memory, in turn: a step reads the one and writes the other.
    values = torch.bmm(
        to_y.expand(count * down, -1, -1),
        rows.reshape(count * down, tile, columns * entering),
        out=scratch("one", count * down, 2 * half, columns * entering),
    )
    values = values.view(count, down, half, 2, columns, entering).unfold(4, tile, KEPT)
    tiles = values.permute(2, 3, 6, 0, 1, 4, 5)
    across = tiles.shape[5]
    places = count * down * across
    values = scratch("other", *tiles.shape).copy_(tiles)
    values = torch.bmm(
        to_x.expand(half, -1, -1),
        values.view(half, 2 * tile, places * entering),
        out=scratch("one", half, 3 * tile, places * entering),
    )
    values = torch.bmm(
        values.view(frequencies, places, entering),
        weights_FCO,
        out=scratch("other", frequencies, places, leaving),
    )
    if bias is not None:  # a constant is all in the first frequency; the way back divides by tile²
        values[0] += bias * tile**2
    values = torch.bmm(
        from_x.expand(half, -1, -1),
        values.view(half, 3 * tile, places * leaving),
        out=scratch("one", half, 2 * KEPT, places * leaving),
    )
    values = torch.mm(
        from_y, values.view(2 * half, -1), out=scratch("other", KEPT, KEPT * places * leaving)
    )
    image = values.view(KEPT, KEPT, count, down, across, leaving)
    return _image(image, maps_NCSS.shape[2], maps_NCSS.shape[3], scratch)


def _image(tiles: Tensor, rows: int, columns: int, scratch: Scratch) -> Tensor:
    """Tiles kept×kept×N×(down)×(across)×O side by side, cut to the image → N×O×S×S."""
    kept, _, count, down, across, leaving = tiles.shape
    side_by_side = tiles.permute(2, 3, 0, 4, 1, 5)
    image = scratch("image", *side_by_side.shape).copy_(side_by_side)
    image = image.view(count, down * kept, across * kept, leaving)[:, :rows, :columns]
    return image.permute(0, 3, 1, 2)


def _padded(maps_NCSS: Tensor, kernel: int, kept: int, mode: str, scratch: Scratch) -> Tensor:
    """Maps with half a kernel around them and up to whole tiles, channels last: N×S×S×C."""
    count, channels, rows, columns = maps_NCSS.shape
    half = kernel // 2
    # What lies beyond the last whole tile is cut off afterwards.
    down, across = rows + 2 * half + -rows % kept, columns + 2 * half + -columns % kept
    padded = scratch("padded", count, down, across, channels)
    framed = padded[:, : rows + 2 * half, : columns + 2 * half]
    if mode != "reflect" or framed.shape != padded.shape:
        padded.zero_()
    framed[:, half:-half, half:-half] = maps_NCSS.permute(0, 2, 3, 1)
    if mode == "reflect":
        _reflect(framed, half)
    return padded


def _reflect(framed_NSSC: Tensor, half: int) -> None:
    """Fill a border of `half` pixels with what lies inside it, mirrored at the outermost pixel."""
    for axis in (1, 2):
        lines = framed_NSSC.movedim(axis, 0)
        lines[:half] = lines[half + 1 : 2 * half + 1].flip(0)
        lines[-half:] = lines[-2 * half - 1 : -half - 1].flip(0)
