"""Runs a training with the engine that the settings name, and says how it ended."""

from typing import Any

from infra import storage
from infra.errors import SettingsError
from infra.nodes.preflight import Needs, require
from infra.settings.optimiser import OptimiserSettings
from infra.settings.settings import Settings
from workflows.training import in_process
from workflows.training.driver import trainee_of
from workflows.training.job import CHECKPOINTS, TrainingJob


def fit(settings: Settings, job: TrainingJob) -> dict[str, Any]:
    """Train with the engine of the settings; returns the last scalars.

    The same folder resumes from its last checkpoint. Raises SettingsError where that is one of the
    other engine, which cannot read it.
    """
    for engine, folder in CHECKPOINTS.items():
        uri = storage.join(job.folder, folder)
        if engine != settings.engine and storage.files(uri, "mark-0.json"):
            raise SettingsError(
                f"engine: {job.name} was begun with --engine {engine}; go on with that, or give "
                f"--force {job.name.partition('-')[0]} to begin anew"
            )
    wanted = needs_of(job.name.partition("-")[0], job.options, settings)
    if wanted is None:
        return in_process.fit(job)
    # Imported here, since with the other engine neither Ray nor DeepSpeed need be installed.
    from infra import cluster
    from workflows.training import ray_train

    if job.options.init is not None:
        trainee_of(job, quiet=True)  # refuses here in one line what a worker would in a hundred
    cluster.connect(settings.cluster.address, settings.cluster.cpus)
    require(wanted)
    return ray_train.fit(job)


def needs_of(group: str, options: OptimiserSettings, settings: Settings) -> Needs | None:
    """What a training by the settings of a group needs of Ray's nodes; None where it runs in this
    process."""
    if settings.engine == "torch":
        return None
    blamed = ("gpus_per_worker", "cpus_per_worker", "workers")
    return Needs(
        group, storage.absolute(settings.run), options.cpus_per_worker, options.gpus_per_worker,
        options.workers, ", ".join(f"{group}.{name} {getattr(options, name):g}" for name in blamed),
    )  # fmt: skip


def ended(job: TrainingJob, last: dict[str, Any], names: tuple[str, ...] = ()) -> dict[str, Any]:
    """What goes into the stage's record: the steps done, the named scalars, why it stopped early.

    `last` is empty where a resumed training had nothing left to do.
    """
    counts: dict[str, Any] = {"step": int(last.get("step", job.plan.steps))}
    counts |= {name: round(last[name], 4) for name in names if name in last}
    if last.get("skipped"):
        counts["skipped_updates"] = int(last["skipped"])
    if counts["step"] < job.plan.steps:
        minutes, patience = job.options.minutes, job.plan.patience
        lost = patience is not None and last.get("not_best", 0) >= patience
        why = "no better validation" if minutes is None or lost else f"{minutes:g} min"
        counts["stopped"] = f"after {why} of {job.plan.steps} steps"
    return counts
