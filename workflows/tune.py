"""Stage tune: a search over frame counts and perceptual weights, scored on validation people."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from infra import cluster, storage
from infra.errors import RunError
from infra.plan import Plan
from infra.runs import Run, Stage
from infra.settings import Settings
from workflows import clips
from workflows.command import main
from workflows.train import work
from workflows.training import fit


def tune(settings: Settings, run: Run) -> None:
    """Write `tune/best.json` (the best trial) and `tune/trials.json` (all of them)."""
    options = settings.tune
    used = {
        "tune": options.model_dump(exclude={"concurrent", "cpus_per_trial"}),
        "clip": settings.clip.model_dump(),
        "network": settings.network.model_dump(),
        "seed": settings.seed,
    }
    with run.stage("tune", "tune", used, ["clips", "recogniser", "pretrain"]) as stage:
        if stage is None:
            return
        if not clips.shards(run, "validation"):
            raise RunError(
                "tune: no clip in the validation split, so trials cannot be compared; "
                "add videos of more people or change preprocess.validation_share"
            )
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        trials = _search(settings, run, stage)
        best = max(trials, key=lambda trial: (trial[options.metric], trial["psnr"]))
        storage.write_json(stage.path("trials.json"), trials)
        storage.write_json(stage.path("best.json"), best)
        stage.counts |= {
            "trials": len(trials),
            "best": best["variant"],
            options.metric: round(best[options.metric], 2),
        }


def _search(settings: Settings, run: Run, stage: Stage) -> list[dict[str, Any]]:
    options = settings.tune
    weight = ray.tune.loguniform(options.perceptual_min, options.perceptual_max)
    space = {"num_frames": ray.tune.choice(options.num_frames), "pool3": weight, "pool4": weight}
    trial = ray.tune.with_resources(partial(_trial, settings=settings, run=run), {"cpu": 0.25})
    if ray.tune.Tuner.can_restore(stage.path("search")):
        tuner = ray.tune.Tuner.restore(
            stage.path("search"), trainable=trial, resume_errored=True, param_space=space
        )
    else:
        search = OptunaSearch(seed=settings.seed)
        tuner = ray.tune.Tuner(
            trial,
            param_space=space,
            tune_config=ray.tune.TuneConfig(
                metric=f"validation_{options.metric}",
                mode="max",
                num_samples=options.trials,
                search_alg=ConcurrencyLimiter(search, max_concurrent=options.concurrent),
                scheduler=ASHAScheduler(max_t=options.reports, grace_period=1, reduction_factor=2),
            ),
            run_config=ray.tune.RunConfig(name="search", storage_path=stage.uri, verbose=0),
        )
    results = tuner.fit()
    if results.num_terminated == 0:
        raise RunError(f"tune: every trial failed; the first said: {results.errors[0]}")
    return [
        _row(result) for result in results if result.metrics and "validation_psnr" in result.metrics
    ]


def _row(result: Any) -> dict[str, Any]:
    config, metrics = result.config, result.metrics
    return {
        "variant": variant_of(config["num_frames"], warp=config.get("warp", True)),
        "num_frames": config["num_frames"],
        "perceptual": {"pool3": config["pool3"], "pool4": config["pool4"]},
        "psnr": metrics["validation_psnr"],
        "verification": metrics.get("validation_verification", 0.0),
        "steps": int(metrics["step"]),
        "trial": metrics["trial_id"],
    }


def variant_of(num_frames: int, warp: bool) -> str:
    """The variant's name, such as f5warp; a single frame has nothing to warp."""
    return f"f{num_frames}warp" if warp and num_frames > 1 else f"f{num_frames}"


def _trial(config: dict[str, Any], settings: Settings, run: Run) -> None:
    """One trial: a Ray Train run of its own, whose validations it hands on to Tune."""
    options = settings.tune
    trial = ray.tune.get_context().get_trial_id()
    every = max(1, options.steps // options.reports)
    plan = Plan(
        steps=every * options.reports, batch_size=settings.train.batch_size,
        learning_rate=settings.train.learning_rate,
        warmup=min(settings.train.warmup, every), log_every=every, evaluate_every=every,
        checkpoint_every=None,
    )  # fmt: skip
    train_options = settings.train.model_copy(
        update={"workers": 1, "cpus_per_worker": options.cpus_per_trial}
    )
    fit(
        work(
            settings, run, storage.join(run.path("tune"), "trials", trial), f"trial-{trial}",
            variant_of(config["num_frames"], options.warp),
            {"pool3": config["pool3"], "pool4": config["pool4"]},
            plan, options=train_options, only_evaluated=True, callbacks=[TuneReportCallback()],
        )
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(["tune"], __doc__ or ""))
