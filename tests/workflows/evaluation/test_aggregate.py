"""From single measures to rows of figures, with what is missing left out."""

import numpy as np
import pytest

from datasets.protocols.pairing import Pairing
from datasets.verification import bootstrap_interval, verification_percent
from workflows.evaluation.aggregate import figures_of, verify
from workflows.evaluation.measured import MEASURES, Measured

PAIRS = [(0, 1), (2, 3), (4, 5), (0, 2), (1, 4), (3, 5)]
SAME = [True, True, True, False, False, False]
PAIRING = Pairing({f"c{i}": i for i in range(6)}, PAIRS, SAME, {})


@pytest.fixture
def descriptors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)


def test_verification_is_of_the_dot_products(descriptors: np.ndarray) -> None:
    scores = [descriptors[a] @ descriptors[b] for a, b in PAIRS]
    found = verify(descriptors, PAIRING, seed=3)
    assert found.percent == pytest.approx(verification_percent(scores, SAME), abs=0.01)
    assert found.interval == pytest.approx(bootstrap_interval(scores, SAME, seed=3), abs=0.01)


def test_pairs_without_a_picture_are_left_out(descriptors: np.ndarray) -> None:
    descriptors[0] = np.nan
    kept = [1, 2, 4, 5]
    scores = [descriptors[a] @ descriptors[b] for a, b in PAIRS]
    found = verify(descriptors, PAIRING, seed=3)
    expected = verification_percent([scores[i] for i in kept], [SAME[i] for i in kept])
    assert found.percent == pytest.approx(expected, abs=0.01)
    descriptors[[1, 3]] = np.nan
    assert verify(descriptors, PAIRING, seed=3).percent is None
    assert verify(descriptors[:0], Pairing(), seed=3).percent is None


def test_figures_are_means_of_what_there_is(descriptors: np.ndarray) -> None:
    values = np.random.default_rng(1).random((6, 2, len(MEASURES)))
    values[2:, 1] = np.nan  # the second method has two pictures of six
    values[1:, 0, -1] = np.nan  # one clip has a next frame
    rows = np.stack([descriptors, descriptors], axis=1)
    rows[2:, 1] = np.nan
    measured = Measured([f"c{i}" for i in range(6)], ["p"] * 6, values, rows, rows[..., :4])
    figures, curves = figures_of(measured, PAIRING, ["ground_truth", "mine"], seed=0)
    truth, mine = figures["ground_truth"], figures["mine"]
    assert truth["psnr"] is None and (truth["clips"], mine["clips"]) == (6, 2)
    assert mine["psnr"] == pytest.approx(values[:2, 1, 0].mean(), abs=1e-3)
    assert (truth["temporal_pairs"], mine["temporal_pairs"]) == (1, 2)
    assert truth["temporal"] == pytest.approx(values[0, 0, -1], abs=1e-3)
    assert mine["verification"] is None and mine["judge"] is None
    assert truth["judge"] is not None
    assert set(curves["own"]) == set(curves["judge"]) == {"ground_truth"}
