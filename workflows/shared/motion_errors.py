"""Errors of a warp predictor on pairs of low frames, of known, of stored and of unknown motion.

Suffixes: N clips, T frames, R = T // 2 distances, h w low pixels, S high pixels, K = 64.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model.layers.warping import warp
from model.metrics import end_point_error
from model.objectives.known_motion import make_burst
from model.objectives.real_pairs import known
from model.thin_plate_spline import dense_field

# Two batches N×3×h×w, central and adjacent → shifts N×K×2.
Predict = Callable[[Tensor, Tensor], Tensor]
DISTANCES = (1, 2, 4, 8, 12)  # frames from the central one
LEVELS = 255.0


@torch.no_grad()
def known_motion(
    predict: Predict, high: Tensor, scale: int, blur_sigma: float | None, seed: int
) -> dict[str, float]:
    """Mean end-point error [low px] of N×3×S×S faces in [0, 1] moved by known splines.

    `before` is the error of the identity, `after` that of the predicted sampling grid.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = [], []
    for faces in high.split(32):
        burst = make_burst(faces, scale, blur_sigma, generator=generator)
        size = burst.central.shape[-1]
        truth = dense_field(burst.shifts, size, size)
        still = dense_field(torch.zeros_like(burst.shifts), size, size)
        field = dense_field(predict(burst.central, burst.adjacent), size, size)
        before.append(end_point_error(still, truth))
        after.append(end_point_error(field, truth))
    return _means(before, after)


@torch.no_grad()
def stored_motion(
    predict: Predict, low: Tensor, motion: Tensor, distances: Sequence[int] = DISTANCES
) -> list[dict[str, float]]:
    """The same against the motion N×T×K×2 that is stored with clips N×T×3×h×w, a row a distance.

    Each row is over its `pairs`, the neighbours so many frames before and after the central frame
    whose motion is known; a distance that has none has no row.
    """
    radius, side = low.shape[1] // 2, low.shape[-2:]
    rows = []
    for distance in distances:
        before, after = [], []
        for place in (radius - distance, radius + distance):
            if not 0 <= place < low.shape[1]:
                continue
            there = known(motion)[:, place]
            pairs = zip(low[there].split(64), motion[there, place].float().split(64), strict=True)
            for window, shifts in pairs:
                truth = dense_field(shifts, *side)
                field = dense_field(predict(window[:, radius], window[:, place]).float(), *side)
                still = dense_field(torch.zeros_like(shifts), *side)
                before.append(end_point_error(still, truth))
                after.append(end_point_error(field, truth))
        count = sum(map(len, before))
        if count:
            rows.append({"distance": distance, "pairs": count} | _means(before, after))
    return rows


def _means(before: list[Tensor], after: list[Tensor]) -> dict[str, float]:
    return {
        "before": round(float(torch.cat(before).mean()), 4),
        "after": round(float(torch.cat(after).mean()), 4),
    }


@torch.no_grad()
def error_by_distance(predict: Predict, low: Tensor) -> dict[str, Tensor]:
    """Three rows of R: the mean squared error, in squared levels of 0–255, of neighbours.

    `low` is N×T×3×h×w in [0, 1]. Entry d - 1 is over the neighbours d frames before and after the
    central frame: as they are (before), smoothed as much as the warp smooths them, and read
    through the predicted field (after).
    """
    radius = low.shape[1] // 2
    before, smoothed, after = low.new_zeros(3, radius).double()
    for window in low.split(8):
        for distance in range(1, radius + 1):
            for place in (radius - distance, radius + distance):
                central, adjacent = window[:, radius], window[:, place]
                shifts = predict(central, adjacent).float()
                there, back = (read(adjacent, sign * shifts) for sign in (1, -1))
                for row, image in (
                    (before, adjacent), (smoothed, (there + back) / 2), (after, there)
                ):  # fmt: skip
                    row[distance - 1] += (image - central).double().square().sum()
    unit = LEVELS**2 / (2 * low[:, radius].numel())
    return {"before": before * unit, "smoothed": smoothed * unit, "after": after * unit}


def warped(predict: Predict, central: Tensor, adjacent: Tensor) -> Tensor:
    """`adjacent` N×3×h×w read through the field that is predicted for it."""
    return read(adjacent, predict(central, adjacent).float())


def read(images: Tensor, shifts: Tensor) -> Tensor:
    """N×3×h×w read through the spline of shifts N×K×2."""
    return warp(images, dense_field(shifts, *images.shape[-2:]))
