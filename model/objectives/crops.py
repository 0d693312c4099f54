"""Random crops on which R learns: most of a step's arithmetic is R's, on every pixel alike.

R sees MARGIN pixels to both sides of the crop (2·MARGIN to one where the picture ends), so that all
crops are as large, and the loss is of the crop alone.
R reaches 21 pixels to each side, and what it reads beyond what it sees is mirrored there, as at the
border of a picture; docs/alignment.md has how little that changes the gradient.

S is the side of the picture in high pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MARGIN = 8

Box = tuple[slice, slice]


class Crop(NamedTuple):
    """A square of a picture: rows and columns that R sees, that are kept, and those in `seen`."""

    seen: Box
    kept: Box
    within: Box
    share: float  # of the picture's pixels that is kept

    def inside(self, restored: Tensor) -> Tensor:
        """Of what R made of `seen`, B×3×h×w, the part that is kept."""
        return restored[:, :, *self.within]


def draw_crop(size: int, share: float) -> Crop:
    """A square of `share` of the side of S×S pixels, drawn from torch's global generator."""
    side = max(1, round(share * size))
    width = min(size, side + 2 * MARGIN)
    lines = []
    for first in torch.randint(size - side + 1, (2,)).tolist():
        start = min(max(0, first - MARGIN), size - width)
        inner = slice(first - start, first - start + side)
        lines.append((slice(start, start + width), slice(first, first + side), inner))
    (seen_y, kept_y, in_y), (seen_x, kept_x, in_x) = lines
    return Crop((seen_y, seen_x), (kept_y, kept_x), (in_y, in_x), (side / size) ** 2)
