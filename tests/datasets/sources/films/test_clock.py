"""Times grow whatever a film's own clock does, and say where it cannot be one shot."""

from fractions import Fraction
from itertools import pairwise

import pytest

from datasets.sources.films.clock import Clock, usual_rate


def shown(
    own: list[float | None], rate: int = 25, restarts: bool = False
) -> tuple[list[float], dict[int, str]]:
    times: list[float] = []
    breaks: dict[int, str] = {}
    clock = Clock(Fraction(rate), restarts, times, breaks, [])
    for time in own:
        clock.show(time)
    assert all(after > before for before, after in pairwise(times))
    return times, breaks


def test_frames_without_times_follow_at_the_rate() -> None:
    times, breaks = shown([None] * 4)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12]) and breaks == {}
    times, breaks = shown([7.0, 7.04, None, 7.12, None])
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16]) and breaks == {}


def test_frames_that_share_a_time_or_swap_two_are_no_break() -> None:
    times, breaks = shown([0.0, 0.04, 0.04, 0.12, 0.11, 0.2])
    assert times[:4] == pytest.approx([0, 0.04, 0.08, 0.12]) and breaks == {}
    assert times[-1] == pytest.approx(0.2)


@pytest.mark.parametrize(("restarts", "reason"), [(True, "clock"), (False, "pause")])
def test_a_leap_of_a_minute_is_the_clock_s_where_it_may_begin_anew(
    restarts: bool, reason: str
) -> None:
    times, breaks = shown([0.0, 0.04, 0.08, 60.08, 60.12], restarts=restarts)
    assert breaks == {3: reason}
    leap = 0.04 if restarts else 60
    assert times == pytest.approx([0, 0.04, 0.08, 0.08 + leap, 0.12 + leap])


def test_a_step_back_is_always_the_clock_s() -> None:
    times, breaks = shown([5.0, 5.04, 1.0, 1.04, 1.08])
    assert breaks == {2: "clock"}
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_offsets_lead_from_each_run_of_the_clock_to_the_times() -> None:
    offsets: list[float] = []
    clock = Clock(Fraction(25), False, [], {}, offsets)
    for own in (5.0, 5.04, 1.0, 1.04):
        clock.show(own)
    assert offsets == pytest.approx([-5, 0.08 - 1])


@pytest.mark.parametrize("pauses", [1, 2, 5])
def test_a_pause_among_the_first_frames_hides_none_behind_it(pauses: int) -> None:
    own: list[float | None] = [0.0]
    for i in range(1, pauses + 1):
        own += [5.0 * i, 5.0 * i + 0.04]
    times, breaks = shown(own)
    assert breaks == dict.fromkeys(range(1, 2 * pauses, 2), "pause")
    assert times == pytest.approx(own)


def test_a_step_back_right_behind_a_pause_is_the_clock_s() -> None:
    times, breaks = shown([0.0, 5.0, 3.0, 3.04])
    assert breaks == {1: "pause", 2: "clock"}
    assert times == pytest.approx([0, 5, 5.04, 5.08])


@pytest.mark.parametrize(
    ("told", "step", "rate"),
    # An average over pauses; that of fields; that of the clock's ticks; one that is about right.
    [(4, Fraction(1, 30), 30), (25, Fraction(1, 50), 25), (60000, Fraction(1, 25), 25),
     (24, Fraction(1, 30), 24)],
)  # fmt: skip
def test_the_rate_is_the_header_s_unless_it_is_far_off(
    told: int, step: Fraction, rate: int
) -> None:
    times = [i * step for i in range(20)] + [Fraction(100)]
    assert usual_rate(Fraction(told), reversed(times)) == rate
    assert usual_rate(Fraction(told), times[:1]) == told


@pytest.mark.parametrize("seconds", [1500, 2003, 100_000])
def test_frames_may_be_hours_apart(seconds: int) -> None:
    step = Fraction(seconds)
    assert usual_rate(Fraction(25), [i * step for i in range(5)]) == 1 / step
