"""What the search draws, and how it goes on: the space, the search algorithm and the scheduler."""

from typing import Any

import optuna
import ray.tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from infra.settings.training import TuneSettings
from workflows.search import pareto

STUDY = "search"  # the study's name in Optuna's memory
Config = dict[str, Any]  # what Tune drew: num_frames, warp, λ by layer, perhaps others


def search_space(options: TuneSettings) -> Config:
    """What is drawn for each trial, and from where."""
    space: Config = {
        "num_frames": ray.tune.choice(options.num_frames),
        "warp": ray.tune.choice(options.warp),
    }
    if options.frame_step:
        space["frame_step"] = ray.tune.choice(options.frame_step)
    for layer in options.layers:
        space[layer] = ray.tune.loguniform(options.perceptual_min, options.perceptual_max)
    if options.learning_rate_min is not None:
        space["learning_rate"] = ray.tune.loguniform(
            options.learning_rate_min, options.learning_rate_max
        )
    return space


def tune_config(
    options: TuneSettings,
    seed: int,
    before: int = 0,
    memory: optuna.storages.BaseStorage | None = None,
) -> ray.tune.TuneConfig:
    """Optuna proposes; ASHA stops the worse half at each validation, where one metric decides.

    `before` trials have ended already, and `memory` has them. With two objectives nothing is
    stopped: by either of them alone ASHA would cut off the trials that make the other end of the
    front.
    """
    names = measured(options)
    metric = None if len(names) > 1 else names[0]
    search = OptunaSearch(
        metric=None if metric else names,
        mode=None if metric else ["max"] * len(names),
        seed=seed + before,  # or it would draw the first trials once more
        study_name=STUDY,
        storage=memory,
    )
    return ray.tune.TuneConfig(
        metric=metric,
        mode="max" if metric else None,
        num_samples=options.trials - before,
        search_alg=ConcurrencyLimiter(search, max_concurrent=options.concurrent),
        scheduler=ASHAScheduler(max_t=options.reports, grace_period=1, reduction_factor=2)
        if metric
        else None,
    )


def measured(options: TuneSettings) -> list[str]:
    """What a trial reports of each objective."""
    return [f"validation_{name}" for name in pareto.objectives(options.metric)]
