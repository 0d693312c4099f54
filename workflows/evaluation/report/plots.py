"""Plots of the evaluation: ROC curves, and PSNR against the number of frames."""

import re
from typing import Any

from matplotlib.figure import Figure

from workflows.evaluation.aggregate import Curve
from workflows.shared.figures import plt


def roc(curves: dict[str, dict[str, Curve]]) -> Figure | None:
    """ROC curves of every row, a panel a recogniser; none where no pair was measured."""
    shown = {judge: rows for judge, rows in curves.items() if rows}
    if not shown:
        return None
    figure, panels = plt.subplots(
        1, len(shown), figsize=(5.2 * len(shown), 4.6), layout="constrained", squeeze=False
    )
    for axes, (judge, rows) in zip(panels[0], shown.items(), strict=True):
        for name, (false_accepts, true_accepts) in rows.items():
            style = {"ground_truth": ":", "low": "--", "bicubic": "-.", "linear": "-."}.get(
                name, "-"
            )
            label = name.replace("_", " ")
            axes.plot(false_accepts, true_accepts, style, label=label, linewidth=1.4)
        axes.plot([0, 1], [1, 0], color="0.7", linewidth=0.8)  # meets each curve at its EER
        axes.set(
            xlabel="different pairs accepted", ylabel="same pairs accepted", aspect="equal",
            title={"own": "the run's recogniser", "judge": "independent judge"}[judge],
            xlim=(0, 1), ylim=(0, 1),
        )  # fmt: skip
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
    return figure


def psnr_against_frames(figures: dict[str, dict[str, Any]]) -> Figure | None:
    """Mean PSNR of the run's variants against their frames, with and without warping; none where
    there is one frame count only."""
    lines: dict[str, dict[int, float]] = {"stacked as they are": {}, "warped": {}}
    for name, row in figures.items():
        if match := re.fullmatch(r"f(\d+)(warp)?", name):
            lines["warped" if match[2] else "stacked as they are"][int(match[1])] = row["psnr"]
    one = lines["stacked as they are"].get(1)
    if one is not None and lines["warped"]:
        lines["warped"][1] = one  # a single frame has nothing to warp: both lines begin there
    counts = {frames for line in lines.values() for frames in line}
    if len(counts) < 2:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, points in lines.items():
        if len(points) > 1:
            axes.plot(*zip(*sorted(points.items()), strict=True), marker="o", label=name)
    for name, style in (("bicubic", "--"), ("linear", "-.")):
        axes.axhline(figures[name]["psnr"], color="0.5", linestyle=style, label=name)
    axes.set(xlabel="frames", ylabel="PSNR on test people [dB]", xticks=sorted(counts))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def training(lines: dict[str, list[tuple[float, float]]]) -> Figure | None:
    """Validation PSNR against training steps, a line a variant; none without a validation."""
    if not lines:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for variant, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=variant)
    axes.set(xlabel="optimiser steps", ylabel="PSNR on validation people [dB]")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure
