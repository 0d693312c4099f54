"""Pretraining of the warp predictor as in paper §3: a frame, warped, is to look like the centre.

Suffixes: B batch, T frames, h w low pixels, S high pixels.
"""

from torch import Tensor

from infra.training.engine import Objective, Terms
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.losses import pixel_loss
from model.objectives.augmentation import jitter_frames
from model.pixels import Batch, device_of, exact, low_window, pick_frames, to_pixels, without_centre
from model.thin_plate_spline import dense_field


class WarpPhotometric(Objective):
    """P and M alone, unsupervised: squared error of the warped adjacent frame against the central.

    With target `low` all adjacent low frames are warped; with `high` (ours) the stored sharp
    neighbour is, through the same spline. `jitter` (low pixels) moves each adjacent low frame by a
    random drift in training, so that there is more to learn.
    """

    network: WarpPredictor

    def __init__(
        self, predictor: WarpPredictor, num_frames: int, target: str = "low", jitter: float = 0.0
    ) -> None:
        super().__init__()
        if target not in ("low", "high"):
            raise ValueError(f"target: expected low or high, got {target!r}")
        if num_frames < 3:
            raise ValueError(f"num_frames: a window of {num_frames} has no adjacent frame")
        self.network = predictor
        self.num_frames, self.target, self.jitter = num_frames, target, jitter
        more = ("high", "neighbour", "neighbour_offset") if target == "high" else ()
        self.columns = ("low", *more)

    def forward(self, batch: Batch) -> Terms:
        """Batch as stored → loss, before and after: squared error a pair."""
        return self._low(batch) if self.target == "low" else self._high(batch)

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
        return _errors(shifts, adjacent, central.repeat_interleave(count, dim=0))

    def _high(self, batch: Batch) -> Terms:
        device = device_of(self.network)
        low_BT = to_pixels(batch["low"], device)
        central = low_BT[:, low_BT.shape[1] // 2]
        adjacent = pick_frames(low_BT, batch["neighbour_offset"])
        shifts = self.network(central, adjacent)
        neighbour = to_pixels(batch["neighbour"], device)
        return _errors(shifts, neighbour, to_pixels(batch["high"], device))


def _errors(shifts: Tensor, adjacent: Tensor, central: Tensor) -> Terms:
    field = dense_field(shifts.float(), *central.shape[-2:])
    after = pixel_loss(warp(adjacent, field), central)
    return {
        "loss": after,
        "after": after.detach(),
        "before": pixel_loss(adjacent, central).detach(),
    }
