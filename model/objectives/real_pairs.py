"""Pairs of real low frames with the motion that is stored with their clip: the other teacher of P.

Any two frames of a clip make a pair, at most as far apart as the network ever sees one from its
centre: their motion against the central frame (datasets/clips/flow.py) gives that of one against
the other. Half of the pairs are mirrored.

Suffixes: B batch, T frames, K = 64 control points, h w low pixels.
"""

import torch
from torch import Tensor

from model.objectives.known_motion import Pair
from model.pixels import Batch, sent
from model.thin_plate_spline import between, mirrored


def known(motion_BTK2: Tensor) -> Tensor:
    """Which frames of each clip have a motion: B×T."""
    return motion_BTK2.isfinite().flatten(2).all(dim=2)


def known_on_host(batch: Batch) -> Tensor:
    """The same of a batch, on the CPU: its `known`, with which a GPU need not be waited for."""
    return batch["known"].cpu() if "known" in batch else known(batch["motion"]).cpu()


def draw_pairs(
    low_BT: Tensor,
    motion_BTK2: Tensor,
    generator: torch.Generator | None = None,
    there: Tensor | None = None,
) -> Pair:
    """Draw a pair of each clip, B×T×3×h×w in [0, 1]; the motion of two frames at least is known.

    `there` is `known` of the motion on the CPU, for one who has it. Draws come from `generator` (a
    CPU one) and do not depend on the device.
    """
    count, frames = low_BT.shape[:2]
    motion = motion_BTK2.float()
    there = known(motion).cpu() if there is None else there
    clip, frame = torch.arange(count), torch.arange(frames)
    # The frame with the largest of random numbers, of those that can be had.
    first = torch.rand(count, frames, generator=generator).where(there, -1.0).argmax(1)
    apart = (frame - first[:, None]).abs()
    near = there & (apart > 0) & (apart <= frames // 2)
    near = torch.where(near.any(1, keepdim=True), near, there & (apart > 0))
    second = torch.rand(count, frames, generator=generator).where(near, -1.0).argmax(1)
    clip, first, second = (sent(each, low_BT) for each in (clip, first, second))
    central, adjacent = low_BT[clip, first], low_BT[clip, second]
    shifts = between(motion[clip, first], motion[clip, second])
    flipped = sent(torch.rand(count, generator=generator) < 0.5, low_BT)
    image, spline = flipped.view(-1, 1, 1, 1), flipped.view(-1, 1, 1)
    return Pair(
        torch.where(image, central.flip(-1), central),
        torch.where(image, adjacent.flip(-1), adjacent),
        torch.where(spline, mirrored(shifts), shifts),
    )
