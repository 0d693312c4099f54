"""One trial of the search: a TorchTrainer of its own, whose validations go to Ray Tune."""

from dataclasses import replace
from typing import Any

import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback

from infra import process, storage
from infra.runs import Run
from infra.settings.settings import Settings
from model.variants import variant_name
from workflows.search.space import Config
from workflows.training.in_process import fit_trial
from workflows.training.job import TrainingJob, plan_of
from workflows.training.ray_train import LostWorkerError, fit
from workflows.training.restoration import job_of


def trial(config: Config, settings: Settings, run: Run) -> None:
    """Train one drawn configuration for `tune.steps`, validating `tune.reports` times.

    With `tune.workers` the trial waits for a group of Ray Train workers; without, TorchTrainer's
    local mode trains in the trial's own process, which spares seven process starts.
    """
    process.set_defaults(process.TRAIN)
    options = settings.tune
    name = ray.tune.get_context().get_trial_id()
    every = max(1, options.steps // options.reports)
    train_options = settings.train.model_copy(
        update={
            "steps": every * options.reports,
            "epochs": None,
            "minutes": None,
            "profile": 0,
            "learning_rate": config.get("learning_rate", settings.train.learning_rate),
            "warmup": min(settings.train.warmup, every),
            "schedule": "constant",
            "log_every": every,
            "workers": max(1, options.workers),
            "cpus_per_worker": options.cpus_per_trial,
        }
    )
    variant = variant_name(config["num_frames"], config["warp"])
    step = config.get("frame_step", settings.clip.frame_step)
    clip = settings.clip.model_copy(update={"frame_step": step})
    settings = settings.model_copy(update={"clip": clip})
    # The linear restoration is fitted in this process, beside other trials.
    process.limit_threads(max(1, int(options.cpus_per_trial)))
    # A trial that was cut off begins anew: checkpoints would cost more than they save.
    plan = replace(plan_of(train_options, 0, "", every), checkpoint_every=None)
    job = job_of(
        settings, run, storage.join(run.path("tune"), "trials", name), f"trial-{name}",
        variant, weights_of(config, options.layers), plan, options=train_options,
        linear_folder=run.path("tune", "linear", f"{variant}-{step}"),
        only_evaluated=True, hyperparameters=config,
    )  # fmt: skip
    if options.workers:
        _fit_by_workers(replace(job, callbacks=[TuneReportCallback()]))
    else:
        fit_trial(job, ray.tune.report)


def _fit_by_workers(job: TrainingJob) -> None:
    """Train by Ray Train, and anew where a worker is lost; raises as its `fit` does.

    Ray Train itself starts none again here. Where Tune ends a trial, its controller may see its
    workers go before it goes itself, and would ask for others: they would keep their share of the
    cluster, with nobody there to give it back, and the trials that follow would wait for ever.
    """
    left = job.options.max_failures
    once = replace(job, options=job.options.model_copy(update={"max_failures": 0}))
    while True:
        try:
            fit(once)
            return
        except LostWorkerError:
            if not left:
                raise
            left -= 1


def resources(settings: Settings) -> dict[str, float]:
    """What Tune reserves for a trial.

    A trial that trains in its own process takes its worker's share. One with a group of workers
    takes next to nothing: were trials to fill the cluster, their workers would wait for ever.
    """
    if settings.tune.workers:
        return {"cpu": 0.01}
    return {"cpu": settings.tune.cpus_per_trial, "gpu": settings.train.gpus_per_worker}


def weights_of(config: Config, layers: list[Any]) -> dict[str, float]:
    """λ of each searched layer."""
    return {str(layer): float(config[layer]) for layer in layers}
