"""Square boxes around faces.

Convention: a box is (x, y, side) in pixels of the frame; (0, 0) is the corner of the first pixel,
whose centre is at (0.5, 0.5).
"""

from math import hypot, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

JUMP_SHARE, JUMP_SCALE = 0.5, 1.4
OVERLAP = 0.3
PART = 5  # what is smaller within a face is somebody before a picture of one

Square = tuple[float, float, float]


class Seen(NamedTuple):
    """A face in one frame: its `box`, and the `score` in [0, 1] of the detector that saw it there,
    NaN where none is told."""

    box: Square
    score: float


def widen(box: Square, factor: float) -> Square:
    """Scales the square (x, y, side) by `factor` about its centre."""
    x, y, side = box
    margin = side * (factor - 1) / 2
    return x - margin, y - margin, side * factor


def continues(a: Square, b: Square) -> bool:
    """Says whether `b` may be the face of `a` a few frames on: its centre no further than half a
    face away, its side no more than 1.4 times as large or small."""
    side = min(a[2], b[2])
    moved = hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[2] / 2 - b[1] - b[2] / 2)
    return moved <= JUMP_SHARE * side and max(a[2], b[2]) <= JUMP_SCALE * side


def separate(boxes: NDArray[np.float32]) -> list[Seen]:
    """Makes squares of `boxes`, N×4 (x, y, width, height) or N×5 with a score, largest first, and
    drops those that overlap, or lie within, a larger one."""
    squares = sorted((_square(*row) for row in boxes), key=lambda face: (-face.box[2], face.box))
    kept: list[Seen] = []
    for face in squares:
        if not any(same_face(other.box, face.box) for other in kept):
            kept.append(face)
    return kept


def _square(
    x: np.float32, y: np.float32, width: np.float32, height: np.float32, score: float = nan
) -> Seen:
    side = max(width, height)
    left, top = x + (width - side) / 2, y + (height - side) / 2
    return Seen((float(left), float(top), float(side)), float(score))


def same_face(a: Square, b: Square) -> bool:
    """Says whether two boxes in one frame are of one face: they overlap, or the centre of `b`, a
    part of a face in size, lies in `a`."""
    x, y = b[0] + b[2] / 2, b[1] + b[2] / 2
    inside = a[0] <= x <= a[0] + a[2] and a[1] <= y <= a[1] + a[2]
    return (inside and PART * b[2] >= a[2]) or overlap(a, b) >= OVERLAP


def overlap(a: Square, b: Square) -> float:
    """Intersection over union of two squares."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[2], b[1] + b[2]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a[2] ** 2 + b[2] ** 2 - shared)
