"""Figures of a search: its trials against frames, against each λ, and all of it at once."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from workflows.search.pareto import OBJECTIVES, Row
from workflows.shared.figures import figure_png, plt

LABELS = {
    "psnr": "PSNR [dB]",
    "verification": "verification [%]",
    "learning_rate": "learning rate",
    "num_frames": "frames",
}
COLOURS = {"one frame": "tab:green", "not aligned": "tab:orange", "aligned": "tab:blue"}


def figures(rows: list[Row], best: str) -> dict[str, bytes]:
    """PNG files by name: search_frames, search_weights, search_parallel; `best` is ringed."""
    drawn = {"search_frames": _frames(rows, best), "search_parallel": _parallel(rows, best)}
    if _searched(rows):
        drawn["search_weights"] = _weights(rows, best)
    return {name: figure_png(figure) for name, figure in drawn.items()}


def _frames(rows: list[Row], best: str) -> Figure:
    """Both objectives against the number of frames."""
    figure, axes = plt.subplots(1, len(_measured(rows)), figsize=(8, 3.4), squeeze=False,
                                layout="constrained")  # fmt: skip
    for cell, objective in zip(axes[0], _measured(rows), strict=True):
        _scatter(cell, rows, best, lambda row: row["num_frames"], objective)
        cell.set(xlabel="frames", ylabel=LABELS[objective])
        cell.set_xticks(sorted({row["num_frames"] for row in rows}))
        cell.margins(x=0.15)
    _legend(figure, rows)
    return figure


def _weights(rows: list[Row], best: str) -> Figure:
    """Both objectives against λ of each layer, and against the learning rate if it was searched."""
    names, measured = _searched(rows), _measured(rows)
    figure, axes = plt.subplots(
        len(measured), len(names), squeeze=False, sharex="col", sharey="row", layout="constrained",
        figsize=(max(8.0, 3.2 * len(names)), 2.8 * len(measured)),
    )  # fmt: skip
    for line, objective in zip(axes, measured, strict=True):
        for cell, name in zip(line, names, strict=True):
            _scatter(cell, rows, best, lambda row, name=name: _value(row, name), objective)
            cell.set_xscale("log")
            cell.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            cell.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            cell.xaxis.set_minor_formatter(NullFormatter())
            cell.margins(x=0.1)
        line[0].set_ylabel(LABELS[objective])
    for cell, name in zip(axes[-1], names, strict=True):
        cell.set_xlabel(LABELS.get(name, f"λ {name}"))
    _legend(figure, rows)
    return figure


def _parallel(rows: list[Row], best: str) -> Figure:
    """Parallel coordinates: a line a trial, coloured by PSNR, the chosen one thick."""
    names = ["num_frames", *_searched(rows), *_measured(rows)]
    values = np.array([[_value(row, name) for name in names] for row in rows], float)
    logarithmic = [name in _searched(rows) for name in names]
    values[:, logarithmic] = np.log10(values[:, logarithmic])
    low, high = values.min(axis=0), values.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    places = np.where(high > low, (values - low) / spread, 0.5)
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    colours = plt.get_cmap("viridis")(places[:, names.index("psnr")])
    for row, line, colour in zip(rows, places, colours, strict=True):
        chosen = row["trial"] == best
        axes.plot(line, color=colour, linewidth=3.5 if chosen else 1.3, alpha=0.9,
                  linestyle="--" if _kind(row) == "not aligned" else "-")  # fmt: skip
    for place in range(len(names)):
        axes.axvline(place, color="0.6", linewidth=0.8, zorder=0)
        ends = (low[place], high[place])
        for height, end in zip((-0.04, 1.04), ends, strict=True):
            text = f"{10**end if logarithmic[place] else end:.3g}"
            axes.text(place, height, text, ha="center", va="top" if height < 0 else "bottom")
    axes.set_xticks(range(len(names)), [LABELS.get(name, f"λ {name}") for name in names])
    axes.tick_params(axis="x", length=0, pad=16)
    axes.set_yticks([])
    axes.set_ylim(-0.06, 1.06)
    axes.spines[:].set_visible(False)
    axes.set_title("one line a trial; colour: PSNR; dashed: not aligned; thick: chosen", fontsize=9,
                   pad=18)  # fmt: skip
    return figure


def _scatter(axes: Axes, rows: list[Row], best: str, x: Any, objective: str) -> None:
    """Trials as points; small ones were stopped early."""
    longest = max(row["steps"] for row in rows)
    for row in rows:
        axes.scatter(x(row), row[objective], color=COLOURS[_kind(row)],
                     s=70 if row["steps"] == longest else 25)  # fmt: skip
        if row["trial"] == best:
            axes.scatter(x(row), row[objective], s=190, facecolors="none", edgecolors="black")
    axes.grid(alpha=0.3)


def _legend(figure: Figure, rows: list[Row]) -> None:
    axes = figure.axes[0]
    for kind, colour in COLOURS.items():
        if any(_kind(row) == kind for row in rows):
            axes.scatter([], [], color=colour, s=70, label=kind)
    if len({row["steps"] for row in rows}) > 1:
        axes.scatter([], [], color="0.5", s=25, label="small: stopped early")
    axes.scatter([], [], s=190, facecolors="none", edgecolors="black", label="chosen")
    figure.legend(loc="outside upper center", ncols=5, frameon=False)


def _kind(row: Row) -> str:
    return "one frame" if row["num_frames"] == 1 else "aligned" if row["warp"] else "not aligned"


def _searched(rows: list[Row]) -> list[str]:
    """The continuous choices: layers with a λ, and the learning rate where it was one."""
    rate = ["learning_rate"] if rows[0]["learning_rate"] is not None else []
    return [*rows[0]["perceptual"], *rate]


def _measured(rows: list[Row]) -> list[str]:
    return [name for name in OBJECTIVES if rows[0][name] is not None]


def _value(row: Row, name: str) -> float:
    return float(row["perceptual"][name] if name in row["perceptual"] else row[name])
