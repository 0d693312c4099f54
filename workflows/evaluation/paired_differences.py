"""How much better one method is than another on the same clips, with an interval over people.

Means of two rows that differ by less than their clips do say little by themselves; the clips that
both have restored, taken in pairs, say more.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflows.evaluation.measured import MEASURES, Measured
from workflows.evaluation.methods import BASELINES
from workflows.shared.tables import Cell, Table

RESAMPLES = 2000
Row = dict[str, Any]


def differences(measured: Measured, rows: list[str], seed: int) -> list[Row]:
    """The pairs of `pairs_of` with their difference in PSNR; none for methods without a clip in
    common."""
    psnr = measured.values[:, :, MEASURES.index("psnr")]
    people = np.array(measured.identities)
    found = []
    for method, against in pairs_of(rows):
        both = psnr[:, rows.index(method)] - psnr[:, rows.index(against)]
        known = np.isfinite(both)
        if known.any():
            figures = difference(both[known], people[known], seed)
            found.append({"method": method, "against": against, **figures})
    return found


def pairs_of(rows: list[str]) -> list[tuple[str, str]]:
    """What is compared: every method with bicubic, with the linear restoration and with the first
    trained one, and a variant that warps with the one that does not."""
    methods = [row for row in rows if row not in BASELINES]
    pairs = []
    for method in methods:
        unwarped = re.sub(r"^(f\d+)warp$", r"\1", method)
        others = dict.fromkeys(("bicubic", "linear", methods[0], unwarped))
        pairs += [(method, other) for other in others if other != method and other in rows]
    return pairs


def difference(values: NDArray[np.float64], people: NDArray[np.str_], seed: int) -> Row:
    """The mean of N differences; its 95 % interval, None with fewer than two people; the share of
    clips above 0 in percent; and of how many `people` the mean is above 0.

    The interval is a bootstrap over people, each with all of their clips: clips of one person are
    alike, so that resampling clips would make it too narrow.
    """
    names, person = np.unique(people, return_inverse=True)
    sums = np.bincount(person, values)
    counts = np.bincount(person)
    interval = None
    if len(names) > 1:
        drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
        means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
        interval = [round(float(limit), 3) for limit in np.quantile(means, [0.025, 0.975])]
    return {
        "psnr": round(float(values.mean()), 3),
        "interval": interval,
        "clips_better": round(100 * float((values > 0).mean()), 1),
        "people_better": int((sums > 0).sum()),
        "people": len(names),
    }


def table(found: list[Row]) -> Table:
    """The differences as a table."""
    titles = ["method", "against", "difference [dB]", "95 % over people", "better in clips [%]",
              "better in people"]  # fmt: skip
    lines = []
    for row in found:
        ends = row["interval"]
        interval = Cell("{:+.3f} to {:+.3f}".format(*ends), ends[0]) if ends else Cell("–")
        lines.append([
            Cell(row["method"]), Cell(row["against"]), Cell(f"{row['psnr']:+.3f}", row["psnr"]),
            interval, Cell(f"{row['clips_better']:.0f}", row["clips_better"]),
            Cell(f"{row['people_better']} of {row['people']}", row["people_better"]),
        ])  # fmt: skip
    return Table(titles, lines)
