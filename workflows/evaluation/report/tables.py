"""The tables of results: their columns, and which value of each is the best."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from workflows.shared.tables import Cell, Table


class Column(NamedTuple):
    """A figure of metrics.json as a column; `better` says which value is best: high, low, or the
    one nearest to that of the truth."""

    key: str
    title: str
    digits: int
    better: str = ""


COLUMNS = {
    column.key: column
    for column in (
        Column("psnr", "PSNR [dB]", 2, "high"),
        Column("ssim", "SSIM", 3, "high"),
        Column("verification", "verification [%]", 2, "high"),
        Column("judge", "by the judge [%]", 2, "high"),
        Column("l2_pool3", "distance pool3", 3, "low"),
        Column("l2_pool4", "distance pool4", 3, "low"),
        Column("l2_fc7", "distance fc7", 3, "low"),
        Column("consistency", "consistency [dB]", 2, "high"),
        Column("temporal", "flicker [levels]", 2, "truth"),
        Column("clips", "clips", 0),
    )
}
TABLE_1 = ("psnr", "l2_pool3", "l2_pool4", "l2_fc7", "verification", "judge", "clips")
TABLE_2 = ("psnr", "ssim", "verification", "judge", "consistency", "temporal", "clips")


def results(figures: dict[str, dict[str, Any]]) -> Table:
    """Everything that was measured on test people."""
    return _table({"": figures}, tuple(COLUMNS))


def table_1(splits: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """PSNR, feature distances and verification, by people ("train", "test") and method."""
    return _table(splits, TABLE_1)


def table_2(figures: dict[str, dict[str, Any]]) -> Table:
    """How the variants compare on test people, with an interval at each verification."""
    return _table({"": figures}, TABLE_2)


def _table(splits: dict[str, dict[str, dict[str, Any]]], keys: Sequence[str]) -> Table:
    """Rows by split and method; what nobody measured has no column."""
    every = [row for figures in splits.values() for row in figures.values()]
    columns = [COLUMNS[key] for key in keys if any(row.get(key) is not None for row in every)]
    by_split = len(splits) > 1 or "" not in splits
    rows = []
    for split, figures in splits.items():
        # What was measured on fewer clips than the rest is not to be compared with it.
        most = max(row["clips"] for row in figures.values())
        whole = {name for name, row in figures.items() if row["clips"] == most}
        best = {column.key: _best(figures, whole, column) for column in columns}
        for name, row in figures.items():
            wanted = best if name in whole and name != "ground_truth" else {}
            cells = [_cell(row, column, wanted.get(column.key)) for column in columns]
            rows.append([*([Cell(split)] if by_split else []), Cell(_plain(name)), *cells])
    first = ["people"] if by_split else []
    return Table([*first, "method", *(column.title for column in columns)], rows)


def _best(figures: dict[str, dict[str, Any]], whole: set[str], column: Column) -> float | None:
    """The best value among the methods measured on all clips; the ground truth is no method."""
    values = [row[column.key] for name, row in figures.items()
              if name in whole - {"ground_truth"} and row.get(column.key) is not None]  # fmt: skip
    if not values or not column.better:
        return None
    if column.better == "truth":
        truth = figures.get("ground_truth", {}).get(column.key)
        return None if truth is None else min(values, key=lambda value: abs(value - truth))
    return max(values) if column.better == "high" else min(values)


def _cell(row: dict[str, Any], column: Column, best: float | None) -> Cell:
    value = row.get(column.key)
    if value is None:
        return Cell("–")
    exact = column.key == "consistency" and value >= 100
    text = "exact" if exact else f"{value:.{column.digits}f}"
    interval = row.get(f"{column.key}_interval")
    if interval:
        text += " ({:.1f}–{:.1f})".format(*interval)
    return Cell(text, float(value), value == best)


def _plain(name: str) -> str:
    return name.replace("_", " ")
