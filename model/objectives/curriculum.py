"""What a restoration learns from as its training goes on: whose motion R is given, when P learns.

Two things can come first in a training, each for a share of its steps: R on the motion that is
stored with the clips (so that R learns early what frames aligned better are worth), and R on a P
that is held (so that P later learns from an R which uses what P aligns).

Suffixes: B batch, T frames, A = T-1 adjacent frames, K = 64 control points.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.network import Network
from model.objectives.held import HeldShifts
from model.objectives.real_pairs import known
from model.pixels import Batch, centre_slice, without_centre
from model.thin_plate_spline import dense_field

RISE = 0.1  # of the steps in which P learns: its rate rises to `warp_rate` over the first ones


@dataclass(frozen=True)
class Curriculum:
    """Shares of the steps, and weights; the default is P learning like the rest from the start.

    `warp_rate`: P's learning rate in that of the rest, 0 where it is held throughout.
    `true_motion`: share of the steps at the start in which R is given the stored motion of clips
    that have it for all frames, and P's of the others.
    `warp_after`: share of the steps at the start in which P is held although it learns later.
    `alignment`: weight of `alignment_error` in the loss while P learns.
    """

    warp_rate: float = 1.0
    true_motion: float = 0.0
    warp_after: float = 0.0
    alignment: float = 0.0

    def gives_truth(self, step: int, steps: int) -> bool:
        """Whether R is given stored motion in 1-based `step` of `steps`."""
        return step - 1 < self.true_motion * steps

    def rate(self, step: int, steps: int) -> float:
        """P's learning rate in that of the rest, in 1-based `step` of `steps`; 0: it is held.

        After a hold it rises linearly: Adam then knows nothing of P's gradients, and with ZeRO it
        has counted the steps without one, by which it takes its first steps several times too long.
        """
        first = self.warp_after * steps
        if step - 1 < first:
            return 0.0
        if not self.warp_after:
            return self.warp_rate
        return self.warp_rate * min(1.0, (step - first) / (RISE * (steps - first)))

    def columns(self) -> list[str]:
        """What a batch must have for it, beside the pictures."""
        aligned = self.warp_rate > 0 and self.alignment > 0
        return ["motion"] if self.true_motion > 0 or aligned else []


class GivenMotion:
    """The shifts that R of a network is given, and how far P is from the truth, step by step.

    While P is held, R has what P says of a clip as it is stored, which is computed once where
    batches have `order`. In variants without P there are none.
    """

    def __init__(self, network: nn.Module, curriculum: Curriculum) -> None:
        self.network: Network | None = None
        if isinstance(network, Network) and network.predictor is not None:
            self.network = network
        self.curriculum = curriculum
        self.held = HeldShifts()
        self.learns = self.gives_truth = False

    def at(self, step: int, steps: int) -> float:
        """Be ready for 1-based `step` of `steps`; returns P's rate in it."""
        rate = self.curriculum.rate(step, steps)
        self.learns, self.gives_truth = rate > 0, self.curriculum.gives_truth(step, steps)
        if self.learns:
            self.held.clear()
        return rate

    def known(self, batch: Batch, low: Tensor) -> Tensor | None:
        """The shifts B×A×64×2 that are known of windows B×T×3×h×w before they are augmented.

        While P is held, those that R is given; while it learns, the stored motion, if it is used.
        """
        if self.network is None:
            return None
        held = None if self.learns else self.held.of(self.network, low, batch.get("order"))
        if not (self.gives_truth or (self.learns and self.curriculum.alignment)):
            return held
        motion = stored_motion(batch, low.shape[1], low.device, self.network.frame_step)
        return motion if held is None else true_where_known(motion, held)

    def given(self, low: Tensor, known: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The shifts for R, and P's `alignment_error` where it is in the loss, of windows and what
        is `known` of them, both augmented."""
        if self.network is None or not self.learns:
            return known, None
        predicted = self.network.predicted_shifts(low)
        if known is None:
            return predicted, None
        shifts = true_where_known(known, predicted) if self.gives_truth else predicted
        if not self.curriculum.alignment:
            return shifts, None
        return shifts, alignment_error(predicted, known, low.shape[-1])


def stored_motion(
    batch: Batch, num_frames: int, device: torch.device, frame_step: int = 1
) -> Tensor:
    """The batch's `motion` of the window's others, B×A×64×2 float32; NaN where it is not known."""
    motion = (
        centre_slice(batch["motion"], num_frames, frame_step).to(device, non_blocking=True).float()
    )
    return without_centre(motion)


def true_where_known(motion: Tensor, predicted: Tensor) -> Tensor:
    """Of two B×A×64×2, `motion` for the clips of which all of it is finite, else `predicted`."""
    known = motion.isfinite().flatten(1).all(dim=1)[:, None, None, None]
    return torch.where(known, motion, predicted)


def alignment_error(predicted: Tensor, motion: Tensor, low_size: int) -> Tensor:
    """Mean squared distance of two B×A×64×2 shifts' dense fields, in low pixels squared.

    The mean is over all low pixels of all frames, of which those whose `motion` is not finite count
    as 0: so the parts of a batch, and workers, have the mean that the whole has.
    """
    there = known(motion)
    truth = torch.where(there[:, :, None, None], motion, 0)
    apart = dense_field(predicted.flatten(0, 1), low_size, low_size) - dense_field(
        truth.flatten(0, 1), low_size, low_size
    )
    each = (apart * (low_size / 2)).square().sum(-1).mean((1, 2))
    return torch.where(there.flatten(), each, 0).mean()
