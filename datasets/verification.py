"""How well pairs of the same person and of two people can be told apart by a score (DESIGN §3)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def equal_error_rate(scores: ArrayLike, same: ArrayLike) -> float:
    """Returns the error rate, in [0, 1], at the ROC point where both error rates meet.

    `scores`: N finite numbers, higher is more alike; `same`: N labels, true for one person. The
    ROC joins the points of all distinct thresholds by straight lines (tied scores move together).
    Raises ValueError for unequal lengths, a score that is not finite, a label other than 0 and 1,
    or where one of the two kinds of pairs is missing. Paper §5.1.
    """
    values, labels = _checked(scores, same)
    return _rate(values[labels], values[~labels])


def roc_points(
    scores: ArrayLike, same: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the ROC: the shares of different and of same pairs accepted, each in [0, 1], at all
    distinct thresholds from the strictest down, (0, 0) first; raises as `equal_error_rate`."""
    values, labels = _checked(scores, same)
    return _roc(values[labels], values[~labels])


def pair_similarities(descriptors: NDArray[Any], pairs: ArrayLike) -> NDArray[np.float64]:
    """Returns the similarity of each of P×2 pairs of items, given I×D mean descriptors.

    An item is an image or a track; its row is the mean of its frames' unit descriptors. As the
    similarity of two frames is a dot product, the mean over all frame pairs of two tracks a, b is
    Σᵢⱼ aᵢ·bⱼ / (n m) = (Σᵢ aᵢ / n)·(Σⱼ bⱼ / m): linear in the frames, not quadratic (§5.2).
    """
    first, second = np.asarray(pairs, dtype=np.intp).reshape(-1, 2).T
    return np.einsum("pd,pd->p", descriptors[first], descriptors[second], dtype=np.float64)


def verification_percent(scores: ArrayLike, same: ArrayLike) -> float:
    """Returns 100 % − EER, in percent, for N scores and N labels; raises as `equal_error_rate`."""
    return 100.0 * (1.0 - equal_error_rate(scores, same))


def bootstrap_interval(
    scores: ArrayLike,
    same: ArrayLike,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Returns the `level` percentile interval of `verification_percent`, as (lower, upper).

    Pairs are resampled with replacement, same and different ones apart, so that each resample
    keeps their proportion. Pairs that share a video are not independent: with few identities the
    interval is too narrow. Raises ValueError as `equal_error_rate` does, for `resamples` below 1
    and a `level` outside (0, 1).
    """
    values, labels = _checked(scores, same)
    if resamples < 1:
        raise ValueError(f"resamples: expected 1 or more, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, got {level}")
    positive, negative = values[labels], values[~labels]
    generator = np.random.default_rng(seed)
    rates = [
        _rate(
            generator.choice(positive, len(positive)),
            generator.choice(negative, len(negative)),
        )
        for _ in range(resamples)
    ]
    tail = (1 - level) / 2
    lower, upper = np.quantile(100.0 * (1.0 - np.array(rates)), [tail, 1 - tail])
    return float(lower), float(upper)


def _checked(scores: ArrayLike, same: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(same)
    if values.ndim != 1 or values.shape != labels.shape:
        raise ValueError(
            f"scores, same: expected two lists of one length, got {values.shape}, {labels.shape}"
        )
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"scores[{bad}]: expected a finite number, got {values[bad]}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("same: expected only true (1) and false (0)")
    labels = labels.astype(bool)
    if labels.all() or not labels.any():
        raise ValueError(
            f"same: expected pairs of both kinds, got {int(labels.sum())} same and "
            f"{int((~labels).sum())} different; use more identities or more videos of each"
        )
    return values, labels


def _rate(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    false_accepts, true_accepts = _roc(positive, negative)
    # The difference rises strictly from −1 to 1, so it has one zero.
    return float(np.interp(0.0, false_accepts - (1 - true_accepts), false_accepts))


def _roc(
    positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    thresholds, index = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    # Counts from the highest threshold down: what is accepted at each of them.
    accepted_same = np.bincount(index[: len(positive)], minlength=len(thresholds))[::-1].cumsum()
    accepted_other = np.bincount(index[len(positive) :], minlength=len(thresholds))[::-1].cumsum()
    return (
        np.concatenate([[0.0], accepted_other / len(negative)]),
        np.concatenate([[0.0], accepted_same / len(positive)]),
    )
