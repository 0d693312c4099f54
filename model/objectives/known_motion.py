"""Pairs of low frames with known motion, made from one sharp face: a teacher for P.

The adjacent frame is the face itself; the central one is the face read through a random thin-plate
spline f, so that `warp(adjacent, f)` is the central frame and f is the true field, in P's own terms
of 64 control shifts. Similarities are exact in that form. Motion is drawn in low pixels: drift,
rotation, zoom, and a smooth local part; at times a head that turns, eyes and a mouth that move, a
background that stands still, and a frame that is off by most of a low pixel. Then come an exposure
change, the degradation of DESIGN §3 on each, and at times what a codec leaves of noise. This is
ours: the paper trains P by the photometric error alone.

Suffixes: B batch, K = 64 control points, S high pixels, h w low pixels.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from infra.conventions import (
    ANGLE,
    CONTROL_POINTS,
    DRIFT,
    GAIN,
    GRID,
    LIFT,
    LOCAL,
    VIGOUR,
    ZOOM,
    degradation_matrix,
)
from model.layers.warping import warp
from model.pixels import constant, sent
from model.thin_plate_spline import control_points, dense_field


class Pair(NamedTuple):
    """`central` and `adjacent` B×3×h×w in [0, 1]; the true `shifts` B×64×2, normalised (x, y)."""

    central: Tensor
    adjacent: Tensor
    shifts: Tensor


def make_burst(
    high: Tensor,
    scale: int,
    blur_sigma: float | None = 2.4,
    strength: float | Tensor = 1.0,
    generator: torch.Generator | None = None,
) -> Pair:
    """Make a pair with known motion from B×3×S×S faces in [0, 1].

    `strength`, a number or B×1×1, multiplies the motion; 1 moves the field by about 0.53 low pixels
    on average, as real tracks do. Draws come from `generator` (a CPU one) and do not depend on the
    device.
    """
    size = high.shape[-1]
    shifts = sent(random_shifts(len(high), size // scale, strength, generator), high)
    whole = _placed(high, size // scale, generator)
    moved = warp(whole, dense_field(shifts, size, size)).to(high.dtype)
    gain = 1 + sent(GAIN * torch.randn(len(high), 3, 1, 1, generator=generator), high)
    lift = sent(LIFT * torch.randn(len(high), 1, 1, 1, generator=generator), high)
    adjacent = (whole * gain + lift).clamp(0, 1)
    central, adjacent = (
        add_noise(degrade(images, scale, blur_sigma), generator) for images in (moved, adjacent)
    )
    return Pair(central, adjacent, shifts)


def random_shifts(
    count: int,
    low_size: int,
    strength: float | Tensor = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw B×64×2 control shifts (x, y), normalised."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    def at_times(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, generator=generator) < share).float()

    pixel = 2 / low_size
    vigour = torch.exp(VIGOUR * draw(1, 1))  # a heavy tail: most neighbours move little, some a lot
    moved = vigour * face_shifts(draw, at_times, pixel)
    # Crops cut at whole low pixels follow a face by steps.
    step = 2 * torch.rand(count, 1, 2, generator=generator) - 1
    return strength * (moved + at_times(0.3) * 0.7 * pixel * step)


def face_shifts(
    draw: Callable[..., Tensor], at_times: Callable[[float], Tensor], pixel: float
) -> Tensor:
    """Shifts …×64×2 of faces that fill the frame as crops show them.

    `draw` gives …×shape of deviation 1 for a shape, `at_times` …×1×1 of 1 for a share of the faces
    and 0 for the others; `pixel` is a low pixel in normalised coordinates.
    """
    points = control_points(torch.float32)
    drift = DRIFT * pixel * draw(1, 2)
    angle, zoom = ANGLE * draw(1), ZOOM * draw(1)
    turned = torch.stack(
        (
            zoom * points[:, 0] - angle * points[:, 1],
            angle * points[:, 0] + zoom * points[:, 1],
        ),
        dim=-1,
    )
    coarse = LOCAL * pixel * draw(2, 4, 4)
    local = functional.interpolate(
        coarse.flatten(0, -4), (GRID, GRID), mode="bicubic", align_corners=True
    ).view(*coarse.shape[:-2], CONTROL_POINTS)
    moved = drift + turned + local.transpose(-1, -2)
    # A head that turns moves its near parts most: the nose, then the cheeks, and not the border.
    moved += at_times(0.5) * 0.5 * pixel * draw(1, 2) * _bump(points, 0, 0, 0.5)
    for x, y in ((-0.35, -0.15), (0.35, -0.15), (0, 0.45)):  # eyes and mouth
        moved += at_times(0.3) * 0.3 * pixel * draw(1, 2) * _bump(points, x, y, 0.2)
    border = (points.square().sum(-1, keepdim=True) - 0.4).clamp(0, 1)
    moved *= 1 - at_times(0.3) * border  # a background that stands still
    return moved


def _bump(points_K2: Tensor, x: float, y: float, width: float) -> Tensor:
    """A Gaussian hill of height 1 at (x, y): K×1."""
    square = (points_K2 - torch.tensor([x, y])).square().sum(-1, keepdim=True)
    return torch.exp(-square / (2 * width**2))


def add_noise(low: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add to half of B×3×h×w what a codec leaves: up to 1.5 levels of noise a pixel, and as much
    again a colour and block of 2×2 pixels (a codec's 16×16, at scale 8); rounded to 8 bits."""
    count, _, height, width = low.shape
    size = 1.5 / 255 * torch.rand(count, 1, 1, 1, generator=generator)
    size *= torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    blocks = torch.randn(count, 3, -(-height // 2), -(-width // 2), generator=generator)
    wide = blocks.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :height, :width]
    noise = torch.randn(count, 1, height, width, generator=generator) + wide
    return (low + sent(size * noise, low)).clamp(0, 1).mul(255).round().div(255)


def degrade(high: Tensor, scale: int, blur_sigma: float | None = 2.4) -> Tensor:
    """B×3×S×S in [0, 1] → B×3×h×w rounded to 8 bits, by the weights that stored frames are made
    with (infra/conventions.py)."""
    # In float64: a GPU may round products of float32 to TF32, a fortieth of a level.
    line = _line(high.shape[-1], scale, blur_sigma, high.device)
    low = (line.T @ high.double() @ line).to(high)
    return low.clamp(0, 1).mul(255).round().div(255)


@constant
def _line(size: int, scale: int, sigma: float | None, device: torch.device) -> Tensor:
    return _cached_line(size, scale, sigma, device)


@lru_cache(maxsize=8)
def _cached_line(size: int, scale: int, sigma: float | None, device: torch.device) -> Tensor:
    """The S×h float64 matrix that blurs and samples along one side: both are linear and
    separable, and on a CPU two products are 14 times faster than convolutions of each colour."""
    # Built outside inference mode: a tensor made inside it could not serve a later training step.
    with torch.inference_mode(False), torch.no_grad():
        return torch.tensor(degradation_matrix(size, scale, sigma).T, device=device)


def _placed(high: Tensor, low_size: int, generator: torch.Generator | None) -> Tensor:
    """The same faces at another place: mirrored at random, drifted, turned and zoomed a little.

    Without it, a few hundred faces are learnt by heart.
    """
    count, size = len(high), high.shape[-1]
    mirrored = sent(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, high)
    faces = torch.where(mirrored, high.flip(-1), high)
    place = sent(random_shifts(count, low_size, 2.0, generator), high)
    return warp(faces, dense_field(place, size, size)).to(high.dtype)
