"""From the measures of single clips to one row of figures a method."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.protocols.pairing import Pairing
from datasets.verification import (
    bootstrap_interval,
    pair_similarities,
    roc_points,
    verification_percent,
)
from workflows.evaluation.measured import MEASURES, Measured

DIGITS = {"psnr": 3, "ssim": 4, "consistency": 3, "temporal": 3}
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Verdict:
    """Verification of one row: percent, its interval and the ROC; None where there is no pair."""

    percent: float | None = None
    interval: list[float] | None = None
    roc: Curve | None = None


def verify(descriptors: NDArray[np.float32], pairing: Pairing, seed: int) -> Verdict:
    """Verification by descriptors I×D of the items; pairs with an item that has none are left out,
    and where that leaves pairs of one kind only there is no verdict."""
    if not pairing.pairs:
        return Verdict()
    scores, same = pair_similarities(descriptors, pairing.pairs), np.array(pairing.same)
    there = np.isfinite(scores)
    scores, same = scores[there], same[there]
    if not same.any() or same.all():
        return Verdict()
    lower, upper = bootstrap_interval(scores, same, seed=seed)
    return Verdict(
        round(verification_percent(scores, same), 2),
        [round(lower, 2), round(upper, 2)],
        roc_points(scores, same),
    )


def figures_of(
    measured: Measured, pairing: Pairing, rows: list[str], seed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Curve]]]:
    """The rows of metrics.json, and the ROC curves by recogniser ("own", "judge") and row.

    Means are over the clips for which the method has a picture; None stands for what could not be
    measured.
    """
    figures, curves = {}, {"own": {}, "judge": {}}  # type: ignore[var-annotated]
    for index, row in enumerate(rows):
        values = measured.values[:, index]
        found: dict[str, Any] = {
            name: _mean(values[:, place], DIGITS.get(name, 4))
            for place, name in enumerate(MEASURES)
        }
        if row == "ground_truth":
            found |= {"psnr": None, "ssim": None}  # infinite, and 1
        found["clips"] = int(np.isfinite(values[:, MEASURES.index("l2_fc7")]).sum())
        found["temporal_pairs"] = int(np.isfinite(values[:, MEASURES.index("temporal")]).sum())
        own = verify(measured.descriptors[:, index], pairing, seed)
        found |= {"verification": own.percent, "verification_interval": own.interval}
        if own.roc is not None:
            curves["own"][row] = own.roc
        if measured.judged is not None:
            other = verify(measured.judged[:, index], pairing, seed)
            found |= {"judge": other.percent, "judge_interval": other.interval}
            if other.roc is not None:
                curves["judge"][row] = other.roc
        figures[row] = found
    return figures, curves


def _mean(values: NDArray[np.float64], digits: int) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(known.mean()), digits) if len(known) else None
