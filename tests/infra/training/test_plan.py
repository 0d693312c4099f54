"""The learning rate of each step."""

import pytest

from infra.training.plan import Plan, learning_rate


def test_warm_up_rises_linearly() -> None:
    plan = Plan(steps=10, batch_size=1, learning_rate=1.0, warmup=3)
    rates = [learning_rate(plan, step) for step in range(1, 6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_the_cosine_goes_by_the_clock_where_that_ends_first() -> None:
    """Of 60 s, after 30 and 60 as after half and all of the steps; and by the steps where these
    are further."""
    plan = Plan(steps=1001, batch_size=1, learning_rate=1.0, schedule="cosine", seconds=60.0)
    assert learning_rate(plan, 1, 0.0) == 1.0
    assert learning_rate(plan, 2, 30.0) == pytest.approx(0.525)
    assert learning_rate(plan, 3, 60.0) == learning_rate(plan, 3, 61.0) == pytest.approx(0.05)
    assert learning_rate(plan, 501, 1.0) == pytest.approx(0.525)


def test_cosine_falls_to_a_twentieth() -> None:
    plan = Plan(steps=11, batch_size=1, learning_rate=1.0, schedule="cosine")
    rates = [learning_rate(plan, step) for step in range(1, 12)]
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(0.525)  # half-way: the mean of 1 and 0.05
    assert rates[-1] == pytest.approx(0.05)
    assert rates == sorted(rates, reverse=True)
