"""How well the pretrained warp predictor of a run aligns its test clips: `--run RUN`, no Ray.

Four measures. Made motion: test faces moved by random splines and sub-pixel shifts, of which the
true sampling grid is known, so that its end-point error can be told before and after. Stored
motion: the same against what is stored with the clips, known in bursts from stills and measured
between the sharp frames of footage, at each distance in frames. And the squared error between the
central frame and its neighbours, beside that of reading a neighbour at the predicted shifts and at
their opposites and taking the mean: as much smoothing as the warp does, and no motion. Last, what
frames that are aligned so gain a linear restoration, which says what R can reach before R is
trained. Figures go to `<run>/alignment/`: alignment.json, and alignment.png to look at.

Suffixes: N clips, T frames, h w low pixels.
"""

import sys
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from infra import outages, storage
from infra.errors import RunError, ending
from infra.progress import say
from infra.runs import Run
from infra.settings import command_line
from model.pixels import to_pixels
from workflows.evaluation.linear_gain import linear_gains
from workflows.shared import artifacts, networks
from workflows.shared.figures import figure_png, plt
from workflows.shared.motion_errors import (
    Predict,
    error_by_distance,
    known_motion,
    stored_motion,
    warped,
)
from workflows.shared.restoring import COLUMNS, CPU, validation_clips

CLIPS, ROWS, SHOWN_DISTANCE = 256, 6, 8
Row = dict[str, Any]


def main() -> int:
    """Measure the run that the command line names; returns the exit status of DESIGN §6."""
    with ending("alignment.py") as end, outages.reporting():
        chosen = command_line.load(sys.argv[1:], "alignment.py", __doc__ or "")
        run = Run(chosen.run)
        artifacts.refuse_other_clips(run, chosen)
        align(run)
    return end.status


def align(run: Run) -> dict[str, Any]:
    """Measure a run's predictor; writes alignment.json and alignment.png, returns the figures."""
    made_from = run.record("pretrain").settings
    clip, seed = made_from["clip"], int(made_from["seed"])
    some = validation_clips(artifacts.shards(run, "test"), CLIPS, (*COLUMNS, "motion"))
    if some is None:
        raise RunError(
            f"{run.path('clips', 'test')}: no clip in the test split; add videos of more people, "
            "or change preprocess.*_share or seed"
        )
    low = to_pixels(torch.from_numpy(some["low"]), CPU)
    high = to_pixels(torch.from_numpy(some["high"]), CPU)
    predictor = networks.load_predictor(run, low.shape[-1])
    found: dict[str, Any] = {"clips": len(low), "identities": len(set(some["identity"]))}
    say("alignment", f"{found['clips']} test clips of {found['identities']} people")
    found["end_point_error"] = known_motion(
        predictor, high, clip["scale"], clip["blur_sigma"], seed
    )
    _say_end_point(found["end_point_error"])
    found["stored_end_point_error"] = stored_motion(
        predictor, low, torch.from_numpy(some["motion"])
    )
    _say_stored(found["stored_end_point_error"])
    errors = error_by_distance(predictor, low)
    found["squared_error"] = [
        {"distance": place + 1}
        | {name: round(float(row[place]), 2) for name, row in errors.items()}
        for place in range(low.shape[1] // 2)
    ]
    _say_squared(found["squared_error"])
    found["linear_gain"] = []
    for row in linear_gains(run, predictor, clip):
        found["linear_gain"].append(row)
        _say_gain(row)
    storage.write_json(run.path("alignment", "alignment.json"), found)
    figure = picture(predictor, low[spread(some["identity"], ROWS)])
    storage.write_bytes(run.path("alignment", "alignment.png"), figure_png(figure))
    return found


@torch.no_grad()
def picture(predict: Predict, low: Tensor, distance: int = SHOWN_DISTANCE) -> Figure:
    """Draw a row for each of N×T×3×h×w clips: centre, neighbour, warped, 3·|difference| of both.

    The neighbour lies `distance` frames after the centre, or at the end of a shorter window.
    """
    radius = low.shape[1] // 2
    central, adjacent = low[:, radius], low[:, min(radius + distance, low.shape[1] - 1)]
    moved = warped(predict, central, adjacent)
    # Differences are small; three times as bright they can be seen.
    shown = {
        "centre": central,
        "neighbour": adjacent,
        "warped": moved,
        "3·|difference|, before": (3 * (adjacent - central).abs()).clamp(0, 1),
        "3·|difference|, after": (3 * (moved - central).abs()).clamp(0, 1),
    }
    figure, axes = plt.subplots(
        len(low), len(shown), squeeze=False, layout="constrained",
        figsize=(1.7 * len(shown), 1.7 * len(low) + 0.4),
    )  # fmt: skip
    for column, (title, images) in enumerate(shown.items()):
        axes[0, column].set_title(title, fontsize=9)
        for row, image in enumerate(images):
            axes[row, column].imshow(image.movedim(0, -1).numpy())
            axes[row, column].set_axis_off()
    return figure


def spread(identity: Any, count: int) -> list[int]:
    """Indices of `count` clips, the first of each person as far as there are so many."""
    firsts = np.sort(np.unique(np.asarray(identity, str), return_index=True)[1])
    others = np.setdiff1d(np.arange(len(identity)), firsts)
    return [int(index) for index in np.concatenate([firsts, others])[:count]]


def _say_end_point(error: Row) -> None:
    say("alignment", f"end-point error {error['before']:.3f} → {error['after']:.3f} low pixels")


def _say_stored(rows: list[Row]) -> None:
    for row in rows:
        change = 100 * (row["after"] / max(row["before"], 1e-9) - 1)
        say("alignment", f"{row['distance']:>2} frames away: stored motion {row['before']:.3f} → "
            f"{row['after']:.3f} low pixels ({change:+.0f} %, {row['pairs']} pairs)")  # fmt: skip


def _say_squared(rows: list[Row]) -> None:
    for row in rows:
        change = 100 * (row["after"] / max(row["before"], 1e-9) - 1)
        say("alignment", f"{row['distance']:>2} frames away: squared error {row['before']:7.1f} "
            f"(smoothed {row['smoothed']:.1f}) → {row['after']:.1f} ({change:+.0f} %)")  # fmt: skip


def _say_gain(row: Row) -> None:
    apart = f", {row['step']} apart" if row["step"] > 1 else ""
    say("alignment", f"{row['frames']:>2} frames{apart}: linear restoration gains "
        f"{row['none']:+.2f} dB as they are, {row['predicted']:+.2f} aligned by P, "
        f"{row['stored']:+.2f} by stored motion")  # fmt: skip
