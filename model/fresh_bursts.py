"""Bursts made while training: each time that a sharp face comes, other low frames around it.

A photograph so gives another clip at every step, for ever, on the device that trains. Frames move
as those of `datasets.bursts` do, which makes bursts when photographs are preprocessed: the face by
what `model.bursts.face_shifts` draws, wandering smoothly in time, steadily on, and in a hand. Only
the crop of the face is at hand here, so what moves into it is its border pixel repeated. Ours; the
paper trains on stored clips alone.

With d_t the spline of frame t's shifts, central(p) = frame_t(p + d_t(p)); a frame is rendered the
other way round: frame_t(q) = central(q + b_t(q)), b_t(q) = −d_t(q + b_t(q)).

Suffixes: B batch, T frames, N = B·T, K = 64 control points, S high pixels, h w low pixels.
"""

from dataclasses import dataclass
from math import ceil, exp, pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional

from model.batches import Batch, centre_slice, to_pixels
from model.bursts import degrade, face_shifts
from model.thin_plate_spline import ITERATIONS, dense_field
from model.warping import warp

MEMORY = 4.0  # frames over which the motion keeps its direction (standard deviation)
SPEED = 0.03  # of the steady drift, low pixels a frame
HAND, HAND_KEEPS = 0.3, exp(-2 * pi * 2.0 / 25)  # low pixels RMS an axis; 2 Hz at 25 frames/s
MOST_VIGOUR = 2.5
GAIN, LIFT = 0.04, 0.02  # of the exposure, a colour; and of the black, share of the range


@dataclass(frozen=True)
class FreshBursts:
    """The `share` of each batch's clips whose low frames are made anew, `num_frames` of them,
    from the sharp frame blurred by `blur_sigma` (None: bicubic)."""

    share: float
    num_frames: int
    blur_sigma: float | None

    @torch.no_grad()
    def of(self, batch: Batch, device: torch.device) -> Batch:
        """The batch with `num_frames` low frames a clip, some of them new; draws come from torch's
        global generator.

        Those clips have a `motion` that is known, where the batch has motion, and an `order` of −1:
        they are no clip that could be looked up. Raises ValueError where too few are stored.
        """
        chosen = torch.rand(len(batch["high"])) < self.share
        new = dict(batch)
        for name in ("low", "motion"):
            if name in batch:
                new[name] = centre_slice(batch[name], self.num_frames).clone()
        if not chosen.any():
            return new
        high = to_pixels(batch["high"][chosen], device)
        scale = high.shape[-1] // batch["low"].shape[-2]
        low, motion = make_clip(high, self.num_frames, scale, self.blur_sigma)
        low = low.mul(255).round().to(torch.uint8).movedim(-3, -1)
        for name, made in (("low", low), ("motion", motion)):
            if name in new:
                new[name][chosen] = made.to(new[name])
        if "order" in new:
            new["order"] = torch.where(chosen.to(new["order"].device), -1, new["order"])
        return new


def make_clip(
    high: Tensor,
    num_frames: int,
    scale: int,
    blur_sigma: float | None = 2.4,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Make low frames B×T×3×h×w, T odd, and their motion B×T×64×2 of B×3×S×S faces in [0, 1].

    The central frame is the face itself, degraded. Draws are made on the CPU.
    """
    count, size = len(high), high.shape[-1]
    motion = random_motion(count, num_frames, size // scale, generator).to(high)
    back = inverse_field(motion.flatten(0, 1), size)
    frames = warp(high.repeat_interleave(num_frames, 0), back)
    gain = 1 + GAIN * _wander(count, num_frames, 3, generator)
    lift = LIFT * _wander(count, num_frames, 1, generator)
    gain, lift = (each.flatten(0, 1)[:, :, None, None].to(high) for each in (gain, lift))
    frames = (frames * gain + lift).clamp(0, 1)
    low = degrade(frames, scale, blur_sigma).unflatten(0, (count, num_frames))
    return low, motion


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
    vigour = torch.exp(0.5 * draw(1, 1, 1)).clamp(max=MOST_VIGOUR)
    time = (torch.arange(num_frames) - centre)[:, None, None]
    steady = SPEED * pixel * time * draw(1, 1, 2)
    held = [draw(1, 2)]
    for _ in range(num_frames - 1):
        held.append(HAND_KEEPS * held[-1] + sqrt(1 - HAND_KEEPS**2) * draw(1, 2))
    hand = HAND * pixel * torch.stack(held, 1)
    moved = vigour * (steady + face_shifts(wander, at_times, pixel))
    return moved + hand - hand[:, centre : centre + 1]


def inverse_field(shifts: Tensor, size: int) -> Tensor:
    """Return the grid N×S×S×2 by which the central frame is read to look like frames whose shifts
    are N×64×2; displacements are found on a lattice of half the pitch of low pixels or finer."""
    nodes = max(32, size // 4)
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
