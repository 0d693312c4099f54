"""Bursts made while training: each time that a sharp face comes, other low frames around it.

A photograph so gives another clip at every step, for ever, on the device that trains. Frames move
as those of `datasets.clips.stills_to_films` do, which makes bursts when photographs are
preprocessed (in steady drift, smooth wandering and a hand), and within the face as pretraining's
pairs (`face_shifts`): at times a head turns, eyes and a mouth move, the background stands still.
Only the crop of the face is at hand here, so what moves into it is its border pixel repeated. Ours;
the paper trains on stored clips alone.

With d_t the spline of frame t's shifts, central(p) = frame_t(p + d_t(p)); a frame is rendered the
other way round: frame_t(q) = central(q + b_t(q)), b_t(q) = −d_t(q + b_t(q)).

Suffixes: B batch, T frames, N = B·T, K = 64 control points, S high pixels, h w low pixels.
"""

from dataclasses import dataclass
from math import ceil, exp, pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional

from infra.conventions import (
    BURST_RATE,
    GAIN,
    GRID,
    HAND,
    HAND_CUTOFF,
    LIFT,
    MEMORY,
    MOST_VIGOUR,
    SPEED,
    VIGOUR,
)
from model.layers.warping import warp
from model.objectives.known_motion import degrade, face_shifts
from model.pixels import Batch, centre_slice, sent, to_pixels
from model.thin_plate_spline import ITERATIONS, dense_field

HAND_KEEPS = exp(-2 * pi * HAND_CUTOFF / BURST_RATE)  # of its place, from frame to frame
STEEPEST = 0.6  # of a spline, between control points; at 1 it folds


@dataclass(frozen=True)
class FreshBursts:
    """The `share` of each batch's clips whose low frames are made anew: those of a window of
    `num_frames`, `frame_step` apart, from the sharp frame blurred by `blur_sigma` (None: bicubic).
    """

    share: float
    num_frames: int
    blur_sigma: float | None
    frame_step: int = 1

    @property
    def span(self) -> int:
        """Frames from the first to the last of the window."""
        return (self.num_frames - 1) * self.frame_step + 1

    @torch.compiler.disable
    @torch.no_grad()
    def of(self, batch: Batch, device: torch.device) -> Batch:
        """The batch with the frames that the window spans, some of its own new; draws come from
        torch's global generator.

        Those clips have a `motion` that is known, where the batch has motion, and an `order` of −1:
        they are no clip that could be looked up. Raises ValueError where too few are stored.
        """
        chosen = torch.rand(len(batch["high"])) < self.share
        new = dict(batch)
        for name in ("low", "motion"):
            if name in batch:
                new[name] = centre_slice(batch[name], self.span).clone()
        if not chosen.any():
            return new
        # By numbers: a GPU would be waited for to count what a mask has chosen.
        places = sent(chosen.nonzero().flatten(), batch["high"])
        high = to_pixels(batch["high"][places], device)
        scale = high.shape[-1] // batch["low"].shape[-2]
        low, motion = make_clip(high, self.span, scale, self.blur_sigma, frame_step=self.frame_step)
        low = low.mul(255).round().to(torch.uint8).movedim(-3, -1)
        for name, made in (("low", low), ("motion", motion)):
            if name in new:
                new[name][places, :: self.frame_step] = made.to(new[name])
        if "order" in new:
            new["order"] = torch.where(chosen.to(new["order"].device), -1, new["order"])
        return new


def make_clip(
    high: Tensor,
    num_frames: int,
    scale: int,
    blur_sigma: float | None = 2.4,
    generator: torch.Generator | None = None,
    frame_step: int = 1,
) -> tuple[Tensor, Tensor]:
    """Make low frames B×T×3×h×w and their motion B×T×64×2 of B×3×S×S faces in [0, 1]: every
    `frame_step`-th of `num_frames`, an odd number.

    The central frame is the face itself, degraded. Draws are made on the CPU.
    """
    count, size = len(high), high.shape[-1]
    motion = random_motion(count, num_frames, size // scale, generator)
    gain = 1 + GAIN * _wander(count, num_frames, 3, generator)
    lift = LIFT * _wander(count, num_frames, 1, generator)
    motion, gain, lift = (sent(each[:, ::frame_step], high) for each in (motion, gain, lift))
    frames = warp(
        high.repeat_interleave(motion.shape[1], 0),
        inverse_field(motion.flatten(0, 1), size // scale, size),
    )
    gain, lift = (each.flatten(0, 1)[:, :, None, None] for each in (gain, lift))
    low = degrade((frames * gain + lift).clamp(0, 1), scale, blur_sigma)
    return low.unflatten(0, motion.shape[:2]), motion


def random_motion(
    count: int, num_frames: int, low_size: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw B×T×64×2 shifts (x, y), normalised, zero in the central frame: what a face does and the
    steady drift wander smoothly in time; the hand that holds the camera does not."""

    def wander(*shape: int) -> Tensor:
        flat = _wander(count, num_frames, torch.Size(shape).numel(), generator)
        return flat.view(count, num_frames, *shape)

    def at_times(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=generator) < share).float()

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    pixel, centre = 2 / low_size, num_frames // 2
    vigour = torch.exp(VIGOUR * draw(1, 1, 1)).clamp(max=MOST_VIGOUR)
    time = (torch.arange(num_frames) - centre)[:, None, None]
    steady = SPEED * pixel * time * draw(1, 1, 2)
    held = [draw(1, 2)]
    for _ in range(num_frames - 1):
        held.append(HAND_KEEPS * held[-1] + sqrt(1 - HAND_KEEPS**2) * draw(1, 2))
    hand = HAND * pixel * torch.stack(held, 1)
    moved = vigour * (steady + face_shifts(wander, at_times, pixel))
    moved *= (STEEPEST / _steepness(moved)).clamp(max=1)[..., None, None]
    return moved + hand - hand[:, centre : centre + 1]


def _steepness(shifts: Tensor) -> Tensor:
    """How fast …×64×2 shifts change from a control point to the next at most, …"""
    grid = shifts.unflatten(-2, (GRID, GRID))
    each = [grid.diff(dim=axis).norm(dim=-1).flatten(-2).amax(-1) for axis in (-3, -2)]
    return torch.maximum(*each).clamp(min=1e-6) * (GRID - 1) / 2


def inverse_field(shifts: Tensor, low_size: int, size: int) -> Tensor:
    """Return the grid N×S×S×2 by which the central frame is read to look like frames whose shifts
    are N×64×2; displacements are found on a lattice of half the pitch of low pixels or finer."""
    nodes = max(32, 2 * low_size)
    still, fine = (
        dense_field(shifts.new_zeros(1, *shifts.shape[1:]), side, side) for side in (nodes, size)
    )
    forth = (dense_field(shifts, nodes, nodes) - still).movedim(-1, 1)
    back = -forth
    for _ in range(ITERATIONS):
        back = -warp(forth, still + back.movedim(1, -1))
    dense = functional.interpolate(back, (size, size), mode="bilinear", align_corners=False)
    return fine + dense.movedim(1, -1)


def _wander(count: int, num_frames: int, values: int, generator: torch.Generator | None) -> Tensor:
    """Draw B×T×values smooth random walks about the central frame, where they are 0.

    Frames n apart differ with the variance 1 − exp(−n² / (4·MEMORY²)), so 1 in the long run.
    """
    margin = ceil(4 * MEMORY)
    noise = torch.randn(count, values, num_frames + 2 * margin, generator=generator)
    line = torch.exp(-0.5 * (torch.arange(-margin, margin + 1) / MEMORY) ** 2)
    line = line / line.square().sum().sqrt() / sqrt(2)
    smooth = functional.conv1d(noise.view(count * values, 1, -1), line.view(1, 1, -1))
    smooth = smooth.view(count, values, num_frames).transpose(1, 2)
    return smooth - smooth[:, num_frames // 2, None]
