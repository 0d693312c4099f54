"""Restored faces in the frames of an enlarged film.

Convention: pixel (i, j) covers i … i + 1, j … j + 1, so that its centre is at i + 1/2; `factors`
take places (x, y) of the film to those of the enlarged picture.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.conventions import LUMA

Picture = NDArray[np.uint8]  # H×W×3 RGB
Square = NDArray[np.float64]  # x, y, side in pixels of the film
Factors = tuple[float, float]

# The mask is round as |x|^4 + |y|^4 is, ends at so many times the face's box, and falls over this
# share of its radius; within this share of the crop's side from the crop's own edge it falls, too.
REACH, FEATHER, EDGE = 1.2, 0.4, 0.03
COARSE = 32  # samples a side of the crop at which colours are compared
# Standard deviations, of these samples, of the blur behind which brightness and colour are the
# film's own: an eighth and a 24th of the crop, since networks err in colours.
GREY, COLOUR = 4.0, 1.33
LINE = 400  # px of the picture's shorter side for each px of a mark's two lines
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


class Region(NamedTuple):
    """The whole pixels of an enlarged picture that lie in a crop: from (left, top) up to and
    without (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int


def enlarged_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """The sides [px] of a film enlarged by about `scale`, even."""
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def enlarge(frame: Picture, size: tuple[int, int]) -> Picture:
    """A frame at the `size` (width, height), by Lanczos; a copy where it has it already."""
    if frame.shape[1::-1] == size:
        return frame.copy()
    enlarged: Picture = cv2.resize(frame, size, interpolation=cv2.INTER_LANCZOS4)
    return enlarged


def paste(
    picture: Picture, factors: Factors, crop: Square, face: Square, restored: Picture
) -> None:
    """Lays `restored` S×S×3, which shows the square `crop` of the film, into its enlarged
    `picture`, about the square `face`; what lies beyond the picture's edge is left.

    The film's own coarse colours stay, so that neither seams nor flicker are seen, and the finer
    structure is that of `restored`. The edge is soft and follows `face`.
    """
    region = _region(picture, factors, crop)
    if region is None:
        return
    place = picture[region.top : region.bottom, region.left : region.right]
    film = place.astype(np.float32)
    difference = _resampled(restored, region, factors, crop).astype(np.float32) - film
    grey = difference @ np.array(LUMA, np.float32)
    colour = difference - grey[..., None]
    difference -= _coarse(grey, factors, crop, GREY)[..., None]
    difference -= _coarse(colour, factors, crop, COLOUR)
    film += _mask(region, factors, crop, face)[..., None] * difference
    place[:] = np.rint(film).clip(0, 255)


def mark(picture: Picture, factors: Factors, face: Square) -> None:
    """Draws a thin white frame, edged with black, about a restored `face`, where its mask ends; at
    the picture's edge where that lies beyond."""
    thick = max(1, round(min(picture.shape[:2]) / LINE))
    x, y, side = face
    corners = []
    for begin, factor, length in zip((x, y), factors, picture.shape[1::-1], strict=True):
        centre, reach = begin + side / 2, REACH * side / 2
        ends = round((centre - reach) * factor), round((centre + reach) * factor)
        corners.append([min(max(end, 2 * thick), length - 2 * thick) for end in ends])
    (left, right), (top, bottom) = corners
    for colour, out in ((BLACK, 2 * thick), (WHITE, thick)):
        rows, columns = (top - out, bottom + out), (left - out, right + out)
        for row in (rows[0], rows[1] - thick):
            picture[row : row + thick, slice(*columns)] = colour
        for column in (columns[0], columns[1] - thick):
            picture[slice(*rows), column : column + thick] = colour


def _region(picture: Picture, factors: Factors, crop: Square) -> Region | None:
    x, y, side = crop
    height, width = picture.shape[:2]
    left, top = (max(0, int(np.ceil(p * f))) for p, f in zip((x, y), factors, strict=True))
    right = min(width, int(np.floor((x + side) * factors[0])))
    bottom = min(height, int(np.floor((y + side) * factors[1])))
    if right <= left or bottom <= top:
        return None
    return Region(left, top, right, bottom)


def _resampled(restored: Picture, region: Region, factors: Factors, crop: Square) -> Picture:
    """What `restored` shows at the pixels of a region, by Lanczos."""
    x, y, side = crop
    size = len(restored)
    left, right = ((at / factors[0] - x) * size / side for at in (region.left, region.right))
    top, bottom = ((at / factors[1] - y) * size / side for at in (region.top, region.bottom))
    box = max(left, 0.0), max(top, 0.0), min(right, size), min(bottom, size)
    shape = region.right - region.left, region.bottom - region.top
    return np.asarray(Image.fromarray(restored).resize(shape, Image.Resampling.LANCZOS, box))


def _coarse(
    difference: NDArray[np.float32], factors: Factors, crop: Square, blur: float
) -> NDArray[np.float32]:
    """A difference h×w or h×w×3 of pictures without its structure that is finer than `blur`."""
    height, width = difference.shape[:2]
    samples = [
        max(1, min(length, round(length / (crop[2] * factor) * COARSE)))
        for length, factor in zip((width, height), factors, strict=True)
    ]
    small = cv2.resize(difference, samples, interpolation=cv2.INTER_AREA)
    sigmas = [
        blur * n / COARSE * crop[2] * factor / length
        for n, length, factor in zip(samples, (width, height), factors, strict=True)
    ]
    small = cv2.GaussianBlur(small, (0, 0), sigmas[0], sigmaY=sigmas[1])
    coarse: NDArray[np.float32] = cv2.resize(
        small.reshape(samples[1], samples[0], *difference.shape[2:]),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    )
    return coarse


def _mask(region: Region, factors: Factors, crop: Square, face: Square) -> NDArray[np.float32]:
    """How much of the restored face is shown at the pixels of a region, h×w in [0, 1]."""
    axes = (region.left, region.right), (region.top, region.bottom)
    apart, edges = [], []
    for axis, (begin, end) in enumerate(axes):
        at = (np.arange(begin, end) + 0.5) / factors[axis]
        radius = REACH * face[2] / 2
        apart.append(((at - face[axis] - face[2] / 2) / radius) ** 4)
        edges.append(np.minimum(at - crop[axis], crop[axis] + crop[2] - at) / (EDGE * crop[2]))
    distance = np.sqrt(np.sqrt(apart[1][:, None] + apart[0]))
    mask = _smooth((1 - distance) / FEATHER)
    return (mask * _smooth(edges[1])[:, None] * _smooth(edges[0])).astype(np.float32)


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = x.clip(0, 1)
    return x * x * (3 - 2 * x)
