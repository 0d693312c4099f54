"""Stage pretrain: the warp predictor alone, unsupervised, before the full network (paper §3)."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.runs import Run
from infra.settings import Settings
from model.objectives import WarpPretraining
from model.warp_predictor import WarpPredictor
from workflows import clips, initial
from workflows.command import main
from workflows.fitting import ended, fit
from workflows.jobs import Job, Work, plan_of
from workflows.panels import warp_panel
from workflows.scoring import validation_clips
from workflows.watch import Panel


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
        shards = clips.shards(run, "train")
        work = Work(
            name="pretrain",
            folder=stage.uri,
            shards=shards,
            options=options,
            plan=plan_of(options, clips.rows(shards), stage.fingerprint),
            seed=settings.seed,
            build=partial(_build, settings, run),
        )
        stage.counts |= ended(work, fit(settings, work), ("before", "after", "epe"))


def check(settings: Settings) -> None:
    """Raise SettingsError where the weights to start from are not there."""
    initial.check("pretrain.init", settings.pretrain.init)


def _build(settings: Settings, run: Run) -> Job:
    options = settings.pretrain
    predictor = WarpPredictor(settings.clip.low_size)
    objective = WarpPretraining(
        predictor,
        options.num_frames,
        target=options.target,
        objective=options.objective,
        blur_sigma=settings.clip.blur_sigma,
    )
    columns = {
        ("photometric", "low"): ["low"],
        ("photometric", "high"): ["low", "high", "neighbour", "neighbour_offset"],
    }.get((options.objective, options.target), ["low", "high"])
    some = validation_clips(clips.shards(run, "validation"), limit=4)
    panels: dict[str, Panel] = {}
    if some is not None:
        panels["warp"] = partial(warp_panel, predictor, some["low"], options.num_frames)
    return Job(
        objective,
        columns,
        metadata={"part": "predictor", "low_size": str(settings.clip.low_size)},
        panels=panels,
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain"], __doc__ or ""))
