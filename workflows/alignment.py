"""How well the pretrained warp predictor of a run aligns its test clips: `--run RUN`, no Ray.

Two measures. Known motion: test faces moved by random splines and sub-pixel shifts, of which the
true sampling grid is known, so that its end-point error can be told before and after; where the
clips are bursts from stills, also against the motion that is stored with them. Real motion:
the squared error between the central frame and its neighbours, at each distance in frames, beside
that of reading a neighbour at the predicted shifts and at their opposites and taking the mean: as
much smoothing as the warp does, and no motion. Figures go to
`<run>/alignment/`: alignment.json, and alignment.png to look at.

Suffixes: N clips, T frames, R = T // 2 distances, h w low pixels, S high pixels, K = 64.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from infra import command_line, storage
from infra.errors import FacestackError, RunError
from infra.runs import Run, say
from model.batches import to_pixels
from model.bursts import make_burst
from model.metrics import end_point_error
from model.thin_plate_spline import dense_field
from model.warp_predictor import WarpPredictor
from model.warping import warp
from model.weights import load_weights
from workflows import clips
from workflows.scoring import COLUMNS, CPU, validation_clips

# Two batches N×3×h×w, central and adjacent → shifts N×K×2.
Predict = Callable[[Tensor, Tensor], Tensor]
CLIPS, ROWS, SHOWN_DISTANCE = 256, 6, 8
LEVELS = 255.0


def main() -> int:
    """Measure the run that the command line names; returns the exit status of DESIGN §6."""
    try:
        chosen = command_line.load(sys.argv[1:], "alignment.py", __doc__ or "")
        align(Run(chosen.run))
        return 0
    except FacestackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def align(run: Run) -> dict[str, Any]:
    """Measure a run's predictor; writes alignment.json and alignment.png, returns the figures."""
    made_from = run.record("pretrain").settings
    clip, seed = made_from["clip"], int(made_from["seed"])
    some = validation_clips(clips.shards(run, "test"), CLIPS, (*COLUMNS, "motion"))
    if some is None:
        raise RunError(
            f"{run.path('clips', 'test')}: no clip in the test split; add videos of more people, "
            "or change preprocess.*_share or seed"
        )
    low = to_pixels(torch.from_numpy(some["low"]), CPU)
    high = to_pixels(torch.from_numpy(some["high"]), CPU)
    predictor = load_predictor(run, low.shape[-1])
    errors = error_by_distance(predictor, low)
    found = {
        "clips": len(low),
        "identities": len(set(some["identity"])),
        "end_point_error": known_motion(predictor, high, clip["scale"], clip["blur_sigma"], seed),
        "burst_end_point_error": burst_motion(predictor, low, torch.from_numpy(some["motion"])),
        "squared_error": [
            {"distance": place + 1}
            | {name: round(float(row[place]), 2) for name, row in errors.items()}
            for place in range(low.shape[1] // 2)
        ],
    }
    storage.write_json(run.path("alignment", "alignment.json"), found)
    figure = picture(predictor, low[spread(some["identity"], ROWS)])
    storage.write_bytes(run.path("alignment", "alignment.png"), _rendered(figure))
    _say(found)
    return found


def load_predictor(run: Run, low_size: int) -> WarpPredictor:
    """The predictor that the stage pretrain of a run left, for inference."""
    predictor = WarpPredictor(low_size)
    with storage.local_file(run.path("pretrain", "weights.safetensors")) as path:
        predictor.load_state_dict(load_weights(path)[0])
    return predictor.eval().requires_grad_(False)


@torch.no_grad()
def known_motion(
    predict: Predict, high: Tensor, scale: int, blur_sigma: float | None, seed: int
) -> dict[str, float]:
    """Mean end-point error [low px] of N×3×S×S faces in [0, 1] moved by known splines.

    `before` is the error of the identity, `after` that of the predicted sampling grid.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = [], []
    for faces in high.split(32):
        burst = make_burst(faces, scale, blur_sigma, generator=generator)
        size = burst.central.shape[-1]
        truth = dense_field(burst.shifts, size, size)
        still = dense_field(torch.zeros_like(burst.shifts), size, size)
        field = dense_field(predict(burst.central, burst.adjacent), size, size)
        before.append(end_point_error(still, truth))
        after.append(end_point_error(field, truth))
    return _means(before, after)


@torch.no_grad()
def burst_motion(predict: Predict, low: Tensor, motion: Tensor) -> dict[str, float] | None:
    """The same over all neighbours in N×T×3×h×w bursts from stills, whose N×T×K×2 motion is stored
    with them; None where no clip is a burst."""
    bursts = motion.isfinite().all(dim=-1).all(dim=-1).all(dim=-1)
    if not bursts.any():
        return None
    radius, side = low.shape[1] // 2, low.shape[-2:]
    before, after = [], []
    for window, shifts in zip(low[bursts].split(8), motion[bursts].split(8), strict=True):
        for place in [*range(radius), *range(radius + 1, low.shape[1])]:
            truth = dense_field(shifts[:, place], *side)
            field = dense_field(predict(window[:, radius], window[:, place]).float(), *side)
            still = dense_field(torch.zeros_like(shifts[:, place]), *side)
            before.append(end_point_error(still, truth))
            after.append(end_point_error(field, truth))
    return _means(before, after)


def _means(before: list[Tensor], after: list[Tensor]) -> dict[str, float]:
    return {
        "before": round(float(torch.cat(before).mean()), 4),
        "after": round(float(torch.cat(after).mean()), 4),
    }


@torch.no_grad()
def error_by_distance(predict: Predict, low: Tensor) -> dict[str, Tensor]:
    """Three rows of R: the mean squared error, in squared levels of 0–255, of neighbours.

    `low` is N×T×3×h×w in [0, 1]. Entry d - 1 is over the neighbours d frames before and after the
    central frame: as they are (before), smoothed as much as the warp smooths them, and read
    through the predicted field (after).
    """
    radius = low.shape[1] // 2
    before, smoothed, after = low.new_zeros(3, radius).double()
    for window in low.split(8):
        for distance in range(1, radius + 1):
            for place in (radius - distance, radius + distance):
                central, adjacent = window[:, radius], window[:, place]
                shifts = predict(central, adjacent).float()
                there, back = (read(adjacent, sign * shifts) for sign in (1, -1))
                for row, image in (
                    (before, adjacent), (smoothed, (there + back) / 2), (after, there)
                ):  # fmt: skip
                    row[distance - 1] += (image - central).double().square().sum()
    unit = LEVELS**2 / (2 * low[:, radius].numel())
    return {"before": before * unit, "smoothed": smoothed * unit, "after": after * unit}


def warped(predict: Predict, central: Tensor, adjacent: Tensor) -> Tensor:
    """`adjacent` N×3×h×w read through the field that is predicted for it."""
    return read(adjacent, predict(central, adjacent).float())


def read(images: Tensor, shifts: Tensor) -> Tensor:
    """N×3×h×w read through the spline of shifts N×K×2."""
    return warp(images, dense_field(shifts, *images.shape[-2:]))


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


def _rendered(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    plt.close(figure)
    return stream.getvalue()


def _say(found: dict[str, Any]) -> None:
    error = found["end_point_error"]
    say("alignment", f"{found['clips']} test clips of {found['identities']} people")
    say("alignment", f"end-point error {error['before']:.3f} → {error['after']:.3f} low pixels")
    if stored := found["burst_end_point_error"]:
        say("alignment", f"in bursts {stored['before']:.3f} → {stored['after']:.3f} low pixels")
    for row in found["squared_error"]:
        change = 100 * (row["after"] / max(row["before"], 1e-9) - 1)
        say("alignment", f"{row['distance']:>2} frames away: squared error {row['before']:7.1f} "
            f"(smoothed {row['smoothed']:.1f}) → {row['after']:.1f} ({change:+.0f} %)")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
