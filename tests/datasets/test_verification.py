"""Equal error rates against scikit-learn's ROC."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from datasets.verification import (
    bootstrap_interval,
    equal_error_rate,
    pair_similarities,
    roc_points,
    verification_percent,
)

# Whole numbers, so that ties happen and the transforms below stay exact.
SCORED = st.lists(st.tuples(st.integers(-50, 50), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({same for _, same in rows}) == 2
)


def reference(scores: np.ndarray, same: np.ndarray) -> float:
    """The x at which 1 − x − TPR(x) = 0, TPR linear between the points of the ROC."""
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    # A vertical step of the ROC is no function of x: walk along the curve instead.
    along = np.arange(len(fpr), dtype=float)
    where = brentq(
        lambda s: 1 - np.interp(s, along, fpr) - np.interp(s, along, tpr), 0, along[-1], xtol=1e-13
    )
    return float(np.interp(where, along, fpr))


@given(SCORED)
@settings(max_examples=150)
def test_rate_is_where_scikit_learns_roc_meets_the_diagonal(rows: list[tuple[int, bool]]) -> None:
    scores, same = (np.array(column) for column in zip(*rows, strict=True))
    rate = equal_error_rate(scores, same)
    assert 0 <= rate <= 1
    assert rate == pytest.approx(reference(scores, same), abs=1e-9)


@given(SCORED)
@settings(max_examples=60)
def test_roc_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, same = (np.array(column) for column in zip(*rows, strict=True))
    false_accepts, true_accepts = roc_points(scores, same)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    assert false_accepts == pytest.approx(fpr, abs=1e-12)
    assert true_accepts == pytest.approx(tpr, abs=1e-12)


def test_product_of_means_is_the_mean_over_all_frame_pairs() -> None:
    """(1 / n m) Σᵢⱼ aᵢ·bⱼ over tracks of 7, 4 and 1 frames, against the double loop."""
    generator = np.random.default_rng(0)
    tracks = [generator.normal(size=(frames, 16)) for frames in (7, 4, 1)]
    tracks = [track / np.linalg.norm(track, axis=1, keepdims=True) for track in tracks]
    pairs = [(0, 1), (0, 2), (2, 1), (1, 1)]
    slow = [np.mean([[a @ b for b in tracks[two]] for a in tracks[one]]) for one, two in pairs]
    means = np.stack([track.mean(axis=0) for track in tracks])
    assert pair_similarities(means, pairs) == pytest.approx(slow, abs=1e-12)


@given(SCORED)
@settings(max_examples=60)
def test_only_the_order_of_scores_counts(rows: list[tuple[int, bool]]) -> None:
    scores, same = (np.array(column) for column in zip(*rows, strict=True))
    rate = equal_error_rate(scores, same)
    assert equal_error_rate(3 * scores + 7, same) == rate
    assert equal_error_rate(scores.astype(float) ** 3, same) == rate
    assert equal_error_rate(np.exp(scores / 10), same) == rate
    assert equal_error_rate(-scores, ~same) == pytest.approx(rate, abs=1e-12)
    assert equal_error_rate(-scores, same) == pytest.approx(1 - rate, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "same", "expected"),
    [
        ([4, 3, 2, 1], [1, 1, 0, 0], 0.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 1.0),
        ([5, 5, 5, 5], [1, 0, 1, 0], 0.5),
        ([4, 3, 2, 1], [1, 0, 1, 0], 0.5),
        # ROC (0, 0) (0, 1/3) (1/2, 1/3) (1/2, 1) (1, 1): meets x = 1 − y at x = 1/2.
        ([5, 4, 3, 2, 1], [1, 0, 1, 1, 0], 0.5),
        # One same pair of four below the different ones: ROC is flat at 3/4, x = 1/4.
        ([9, 8, 7, 3, 6, 5, 4, 2], [1, 1, 1, 1, 0, 0, 0, 0], 0.25),
    ],
)
def test_rates_worked_out_by_hand(scores: list[int], same: list[int], expected: float) -> None:
    assert equal_error_rate(scores, same) == pytest.approx(expected)
    assert verification_percent(scores, same) == pytest.approx(100 - 100 * expected)


@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([1.0, 2.0], [1, 1], "both kinds"),
        ([1.0, 2.0], [0, 0], "both kinds"),
        ([], [], "both kinds"),
        ([1.0, 2.0], [1], "one length"),
        ([1.0, float("nan")], [1, 0], r"scores\[1\]"),
        ([1.0, 2.0], [1, 2], "only true"),
    ],
)
def test_bad_input_is_refused(scores: list[float], same: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equal_error_rate(scores, same)


def gaussians(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of N(1, 1) for the same person and N(−1, 1) for two: the true EER is Φ(−1)."""
    scores = np.concatenate([generator.normal(1, 1, count), generator.normal(-1, 1, count)])
    return scores, np.repeat([True, False], count)


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = 100 * 0.8413447460685429
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(60):
        scores, same = gaussians(generator, 100)
        lower, upper = bootstrap_interval(scores, same, seed=seed, resamples=150)
        assert lower <= verification_percent(scores, same) <= upper
        hits += lower <= truth <= upper
    # 95 % of 60 is 57; binomial noise puts 99.9 % of the counts above 50.
    assert hits >= 50


def test_interval_repeats_with_its_seed_and_narrows_with_more_pairs() -> None:
    generator = np.random.default_rng(1)
    few, many = gaussians(generator, 50), gaussians(generator, 1250)
    first = bootstrap_interval(*few, seed=3, resamples=200)
    assert first == bootstrap_interval(*few, seed=3, resamples=200)
    assert first != bootstrap_interval(*few, seed=4, resamples=200)
    lower, upper = bootstrap_interval(*many, seed=3, resamples=200)
    assert upper - lower < 0.5 * (first[1] - first[0])
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval(*few, resamples=0)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(*few, level=1.0)
