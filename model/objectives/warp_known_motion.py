"""Pretraining of the warp predictor on pairs of frames whose motion is known. Ours.

Suffixes: B batch, T frames, h w low pixels, S high pixels.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from infra.training.engine import Objective, Terms
from model.layers.warp_predictor import WarpPredictor
from model.metrics import end_point_error
from model.objectives.known_motion import Pair, make_burst
from model.objectives.real_pairs import draw_pairs, known_on_host
from model.objectives.warp_regression import fit_last_layer
from model.pixels import Batch, device_of, exact, sent, to_pixels
from model.thin_plate_spline import dense_field


class WarpKnownMotion(Objective):
    """P alone: the squared distance in low pixels of its spline from the true one.

    A `stored_share` of the pairs are real, with the motion that is stored with their clip
    (real_pairs.py), where there is such; the others are made from the sharp frame, blurred by
    `blur_sigma` (None: bicubic), with motion of a `strength` (known_motion.py).
    """

    network: WarpPredictor
    columns = ("low", "high", "motion")

    def __init__(
        self,
        predictor: WarpPredictor,
        blur_sigma: float | None = 2.4,
        strength: float = 1.0,
        stored_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = predictor
        self.blur_sigma, self.strength = blur_sigma, strength
        self.stored_share = stored_share

    def start(self, batches: Iterable[Batch]) -> None:
        """Fit the predictor's last layer to the pairs that are drawn of each batch."""
        fit_last_layer(self.network, map(self._pairs, batches))

    def forward(self, batch: Batch) -> Terms:
        """Batch as stored → loss; epe, and epe_before of no motion: end-point errors [low px]."""
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
