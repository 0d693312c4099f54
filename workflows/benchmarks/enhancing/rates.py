"""What the ways of `benchmark.py enhance` come to: a row each, ratios within a round, shares."""

import statistics
from collections.abc import Sequence
from typing import Any

from workflows.benchmarks.enhancing.alone import CLOCK
from workflows.benchmarks.enhancing.apart import Taken

Figures = dict[str, Any]
PLAIN, ALONE = "plain", "in process"


def once_started(whole: Taken, start: Taken, alone: Taken) -> Taken:
    """What the stage takes for its faces: that for all films, less that for the start.

    The `start` is that for a film of some faces, less the time in which these are restored `alone`.
    """
    share = start.faces / alone.faces
    return Taken(
        # What took no longer than the start can only be seen at toy size.
        max(whole.clock - start.clock + share * alone.clock, 1e-9),
        max(whole.busy - start.busy + share * alone.busy, 1e-9),
        whole.faces,
        whole.parts,
    )


def rows_of(taken: dict[str, list[Taken]]) -> list[Figures]:
    """A row a way, of what it took in each round."""
    return [_row(way, of, taken[PLAIN], taken[ALONE]) for way, of in taken.items()]


def _row(way: str, of: list[Taken], plain: list[Taken], alone: list[Taken]) -> Figures:
    rates = [one.faces / one.clock for one in of]
    return {
        "way": way,
        "faces_per_second": statistics.median(rates),
        "faces_per_second_min": min(rates),
        "faces_per_second_max": max(rates),
        "cpu_ms": 1e3 * statistics.median(one.busy / one.faces for one in of),
        "cores_busy": statistics.median(one.busy / one.clock for one in of),
        "rate_to_plain": _ratio(plain, of, "clock"),
        "cpu_to_plain": _ratio(of, plain, "busy"),
        "cpu_to_in_process": _ratio(of, alone, "busy"),
    }


def _ratio(over: Sequence[Taken], under: Sequence[Taken], which: str) -> float:
    # Round by round, since the two of a round ran side by side.
    return statistics.median(
        (getattr(one, which) / one.faces) / (getattr(other, which) / other.faces)
        for one, other in zip(over, under, strict=True)
    )


def shares_of(parts: dict[str, float]) -> dict[str, float]:
    """The shares of some parts, which add up to 1."""
    total = sum(seconds for name, seconds in parts.items() if name != CLOCK)
    return {name: seconds / total for name, seconds in parts.items() if name != CLOCK}
