"""The movement of a hand and of a walk against their formulas."""

from itertools import islice

import numpy as np
import pytest

from datasets.hand import hand, walk


@pytest.mark.parametrize("rate", [25.0, 50.0])
def test_a_hand_is_white_noise_behind_a_low_pass_of_2_hz(rate: float) -> None:
    """E[s_t·s_{t+n}] = rms²·exp(−2π·2 Hz·n/rate) on each axis, none between the axes."""
    path = np.array(list(islice(hand(0.7, rate, np.random.default_rng(1)), 120_000)))
    assert path.mean(0) == pytest.approx([0, 0], abs=0.02)
    for n in (0, 1, 2, 4, 8):
        products = path[: len(path) - n].T @ path[n:] / (len(path) - n)
        wanted = 0.7**2 * np.exp(-2 * np.pi * 2 * n / rate) * np.eye(2)
        np.testing.assert_allclose(products, wanted, atol=0.015)


def test_the_first_frame_is_as_far_out_as_any() -> None:
    first = [next(hand(0.7, 25, np.random.default_rng(seed))) for seed in range(4000)]
    assert np.std(first, axis=0) == pytest.approx([0.7, 0.7], rel=0.04)


def test_a_walk_sways_once_in_two_steps_and_bobs_once_in_each() -> None:
    """Of T seconds the spectrum's largest line is at the steps' frequency, and half of it."""
    rates = []
    for seed in range(40):
        path = walk(0.3, np.arange(2000) / 20, np.random.default_rng(seed))
        assert path.std(0) == pytest.approx([0.3, 0.3], rel=0.02)
        sway, bob = np.abs(np.fft.rfft(path, axis=0)).argmax(0) / 100
        assert bob == pytest.approx(2 * sway, abs=0.02)
        rates.append(bob)
    assert np.mean(rates) == pytest.approx(2.0, abs=0.06)
    assert 0.05 < np.std(rates) < 0.2
