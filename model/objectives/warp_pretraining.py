"""The objective of the warp predictor before restoration: paper §3, and two teachers of ours.

Suffixes: B batch, T frames, h w low pixels, S high pixels.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from infra.training.engine import Objective
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.losses import pixel_loss
from model.metrics import end_point_error
from model.objectives.augmentation import jitter_frames
from model.objectives.known_motion import Pair, make_burst
from model.objectives.real_pairs import draw_pairs, known_on_host
from model.objectives.warp_regression import fit_last_layer
from model.pixels import (
    Batch,
    Terms,
    device_of,
    exact,
    low_window,
    pick_frames,
    sent,
    to_pixels,
    without_centre,
)
from model.thin_plate_spline import dense_field


class WarpPretraining(Objective):
    """P and M alone, before restoration: paper §3, and two teachers of ours.

    objective `photometric` is the paper's: the squared error between the warped adjacent frame and
    the central one. With target `low` all adjacent low frames are warped; with `high` the stored
    sharp neighbour is, through the same spline. `jitter` (low pixels) moves each adjacent low frame
    by a random drift in training, so that there is more to learn. objective `field` compares
    splines in low pixels, over pairs of which a `stored_share` are real with the motion that is
    stored (real_pairs.py), where there is such; the others are made with known motion from
    the sharp frame (known_motion.py).
    """

    network: WarpPredictor

    def __init__(
        self,
        predictor: WarpPredictor,
        num_frames: int,
        target: str = "low",
        objective: str = "photometric",
        jitter: float = 0.0,
        blur_sigma: float | None = 2.4,
        strength: float = 1.0,
        stored_share: float = 0.0,
    ) -> None:
        super().__init__()
        if target not in ("low", "high"):
            raise ValueError(f"target: expected low or high, got {target!r}")
        if objective not in ("photometric", "field"):
            raise ValueError(f"objective: expected photometric or field, got {objective!r}")
        if num_frames < 3:
            raise ValueError(f"num_frames: a window of {num_frames} has no adjacent frame")
        self.network = predictor
        self.num_frames = num_frames
        self.target, self.objective = target, objective
        self.jitter, self.blur_sigma, self.strength = jitter, blur_sigma, strength
        self.stored_share = stored_share

    def forward(self, batch: Batch) -> Terms:
        """Batch as stored → loss; photometric: before, after (squared error a pair); field: epe."""
        if self.objective == "field":
            return self._field(batch)
        return self._low(batch) if self.target == "low" else self._high(batch)

    def start(self, batches: Iterable[Batch]) -> None:
        """Fit the predictor's last layer to the pairs that `field` draws of each batch."""
        fit_last_layer(self.network, map(self._pairs, batches))

    def _low(self, batch: Batch) -> Terms:
        low_BT = low_window(batch, self.num_frames, device_of(self.network))
        radius, count = self.num_frames // 2, self.num_frames - 1
        adjacent = without_centre(low_BT).flatten(0, 1)
        if self.jitter and self.training:
            with exact(adjacent.device):
                adjacent = jitter_frames(adjacent, self.jitter)
        central = low_BT[:, radius]
        maps = self.network.central_maps(central).repeat_interleave(count, dim=0)
        shifts = self.network.shifts(maps, self.network.adjacent_maps(adjacent))
        return _photometric(shifts, adjacent, central.repeat_interleave(count, dim=0))

    def _high(self, batch: Batch) -> Terms:
        device = device_of(self.network)
        low_BT = to_pixels(batch["low"], device)
        central = low_BT[:, low_BT.shape[1] // 2]
        adjacent = pick_frames(low_BT, batch["neighbour_offset"])
        shifts = self.network(central, adjacent)
        neighbour = to_pixels(batch["neighbour"], device)
        return _photometric(shifts, neighbour, to_pixels(batch["high"], device))

    def _field(self, batch: Batch) -> Terms:
        low_size = batch["low"].shape[-2]
        pair = self._pairs(batch)
        shifts = self.network(pair.central, pair.adjacent).float()
        field = dense_field(shifts, low_size, low_size)
        truth = dense_field(pair.shifts, low_size, low_size)
        still = dense_field(torch.zeros_like(pair.shifts), low_size, low_size)
        loss = (field - truth).mul(low_size / 2).square().sum(-1).mean()
        return {
            "loss": loss,
            "epe": end_point_error(field, truth).mean().detach(),
            "epe_before": end_point_error(still, truth).mean(),
        }

    @torch.compiler.disable
    def _pairs(self, batch: Batch) -> Pair:
        """One pair a clip, the real ones first."""
        device = device_of(self.network)
        # Validation draws the same pairs each time; training draws from the global generator, which
        # the training loop keeps in its checkpoints.
        generator = None if self.training else torch.Generator().manual_seed(0)
        real = torch.rand(len(batch["low"]), generator=generator) < self.stored_share
        if real.any():
            there = known_on_host(batch)
            real &= there.sum(1) > 1
        parts = []
        with exact(device):
            if real.any():
                some = sent(real.nonzero().flatten(), batch["low"])
                low, motion = to_pixels(batch["low"][some], device), batch["motion"][some]
                parts.append(draw_pairs(low, motion.to(device), generator, there[real]))
            if not real.all():
                others = sent((~real).nonzero().flatten(), batch["high"])
                high = to_pixels(batch["high"][others], device)
                parts.append(self._made(high, batch, generator))
        return Pair(*map(torch.cat, zip(*parts, strict=True)))

    def _made(self, high: Tensor, batch: Batch, generator: torch.Generator | None) -> Pair:
        strength: float | Tensor = self.strength
        if self.training:
            # Frames next to each other hardly move: half of the pairs are such.
            draw = torch.rand(2, len(high), 1, 1)
            strength = strength * torch.where(draw[0] < 0.5, draw[1], 1.0)
        scale = high.shape[-1] // batch["low"].shape[-2]
        return make_burst(high, scale, self.blur_sigma, strength, generator)


def _photometric(shifts: Tensor, adjacent: Tensor, central: Tensor) -> Terms:
    field = dense_field(shifts.float(), *central.shape[-2:])
    after = pixel_loss(warp(adjacent, field), central)
    return {
        "loss": after,
        "after": after.detach(),
        "before": pixel_loss(adjacent, central).detach(),
    }
