"""Stage pretrain: the warp predictor alone, unsupervised, before the full network (paper §3)."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from datasets.shards.reader import ShardReader
from infra.nodes.preflight import Needs
from infra.runs import Run
from infra.settings.settings import Settings
from infra.training.engine import Objective
from model.layers.warp_predictor import WarpPredictor
from model.objectives.warp_known_motion import WarpKnownMotion
from model.objectives.warp_photometric import WarpPhotometric
from model.pixels import Batch, device_of, to_pixels
from workflows.shared import artifacts
from workflows.shared.motion_errors import stored_motion
from workflows.shared.restoring import CPU, Clips, validation_clips
from workflows.training import initial_weights
from workflows.training.dispatch import ended, fit, needs_of
from workflows.training.job import Panel, Trainee, TrainingJob, plan_of
from workflows.training.pictures import warp_panel
from workflows.training.restoration import check_window

VALIDATED = 64  # clips
START_BATCH = 32  # pairs at once


def pretrain(settings: Settings, run: Run) -> None:
    """Write `pretrain/weights.safetensors`, from which every warping variant starts."""
    options = settings.pretrain
    used = {
        "pretrain": options.made_from(),
        "clip": settings.clip.stored(),
        "seed": settings.seed,
    }
    with run.stage("pretrain", "pretrain", used, ["clips"]) as stage:
        if stage is None:
            return
        shards = artifacts.shards(run, "train")
        rows = artifacts.rows(shards)
        job = TrainingJob(
            name="pretrain",
            folder=stage.uri,
            shards=shards,
            options=options,
            plan=plan_of(options, rows, stage.fingerprint, options.evaluate_every),
            seed=settings.seed,
            build=partial(_build, settings, run),
        )
        stage.counts |= ended(job, fit(settings, job), ("before", "after", "epe", "validation_epe"))


def needs(settings: Settings, _: Run) -> Needs | None:
    """What the stage needs of Ray's nodes; None where it needs none."""
    return needs_of("pretrain", settings.pretrain, settings)


def check(settings: Settings) -> None:
    """Raise SettingsError where the weights to start from, or the frames, are not there."""
    options = settings.pretrain
    initial_weights.check("pretrain.init", options.init)
    if options.objective == "photometric" and options.target == "low":
        stored = settings.clip.num_frames
        check_window(stored, "pretrain.num_frames", "photometric", options.num_frames, 1)


def _build(settings: Settings, run: Run) -> Trainee:
    options = settings.pretrain
    predictor = WarpPredictor(settings.clip.low_size)
    objective: Objective
    if options.objective == "photometric":
        objective = WarpPhotometric(predictor, options.num_frames, options.target)
    else:
        objective = known = WarpKnownMotion(
            predictor, settings.clip.blur_sigma, stored_share=options.stored_share
        )
        if options.start_pairs and options.init is None:
            shards = artifacts.shards(run, "train")
            known.start(_first_batches(shards, known.columns, options.start_pairs, settings.seed))
    some = validation_clips(artifacts.shards(run, "validation"), VALIDATED, ("low", "motion"))
    panels: dict[str, Panel] = {}
    if some is not None and some["low"].shape[1] >= options.num_frames:
        panels["warp"] = partial(warp_panel, predictor, some["low"][:4], options.num_frames)
    return Trainee(
        objective,
        metadata={"part": "predictor", "low_size": str(settings.clip.low_size)},
        evaluate=partial(_validate, predictor, some),
        panels=panels,
    )


def _first_batches(
    shards: list[str], columns: Sequence[str], pairs: int, seed: int
) -> Iterator[Batch]:
    reader = ShardReader(shards, START_BATCH, seed, columns, prefetch=0)
    with closing(reader.batches()) as batches:
        for batch in islice(batches, -(-pairs // START_BATCH)):
            yield {name: torch.from_numpy(np.array(values)) for name, values in batch.items()}


@torch.no_grad()
def _validate(predictor: WarpPredictor, some: Clips | None) -> dict[str, float]:
    """The end-point error [low px] against the stored motion of the same pairs each time, mean over
    the distances; nothing where no motion is stored."""
    if some is None:
        return {}
    low, motion = (torch.from_numpy(some[name]) for name in ("low", "motion"))
    device = device_of(predictor)

    def predict(central: Tensor, adjacent: Tensor) -> Tensor:
        return predictor(central.to(device), adjacent.to(device)).cpu()

    rows = stored_motion(predict, to_pixels(low, CPU), motion)
    return {"epe": fmean(row["after"] for row in rows)} if rows else {}
