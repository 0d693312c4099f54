"""The few tools that the drawn faces are painted with."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# The square picture spans −EXTENT … EXTENT in both directions, in head units.
EXTENT = 1.2
# A head in the picture is larger than on its textures by this much.
ZOOM = 1.15

Floats = NDArray[np.floating]
Pixels = NDArray[np.uint8]


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Floats, Floats]:
    """Returns x and y of every pixel centre of a picture, each size×size float32, read-only."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) * (2 * EXTENT / size) - EXTENT
    x, y = np.meshgrid(centres, centres)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def pixels(points: ArrayLike, size: int) -> NDArray[np.int32]:
    """Returns points N×2, head units, as OpenCV wants them: pixels with 4 fractional bits."""
    positions = (np.asarray(points, np.float64) + EXTENT) * (size / (2 * EXTENT)) - 0.5
    return np.rint(positions * 16).astype(np.int32)


def stroke(canvas: Pixels, points: ArrayLike, colour: Sequence[float], width: float) -> None:
    """Draws a line through points N×2 on a texture; colour and width, in head units."""
    size = len(canvas)
    thick = max(1, round(width * size / (2 * EXTENT)))
    cv2.polylines(canvas, [pixels(points, size)], False, tuple(colour), thick, cv2.LINE_AA, 4)


def fill(canvas: Pixels, points: ArrayLike, colour: Sequence[float]) -> None:
    """Fills the polygon through points N×2, head units."""
    cv2.fillPoly(canvas, [pixels(points, len(canvas))], tuple(colour), cv2.LINE_AA, 4)


def smooth(value: ArrayLike) -> Floats:
    """Returns the smooth step from 0 (at 0 and below) to 1 (at 1 and above)."""
    t = np.clip(value, 0, 1)
    result: Floats = t * t * (3 - 2 * t)
    return result


def noise(size: int, cells: int, rng: np.random.Generator) -> Floats:
    """Returns size×size float32 noise of standard deviation about one, `cells` bumps a side."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
