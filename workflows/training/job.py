"""One training as data, and all that its two ways of running have in common.

A stage describes its training as a Job, built inside each worker by a function of the stage;
everything that differs between the recogniser, the warp predictor and the restoration network is in
that Job. It runs on Ray with DeepSpeed (workflows/training/ray_train.py) or in this process with
neither (workflows/training/in_process.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor

from datasets.shards.prefetch import read_ahead
from datasets.shards.reader import ShardReader
from infra import storage
from infra.provenance import versions
from infra.settings.training import OptimiserSettings
from infra.training.checkpoints import Checkpoints, Mark
from infra.training.engine import Engine, Objective
from infra.training.optimiser_step import pinned
from infra.training.plan import Plan
from infra.training.profiling import traced
from workflows.training import initial_weights, resident
from workflows.training.monitor import Panel, Watch

Arrays = dict[str, Any]  # NumPy arrays, or tensors that lie on the device already

CHECKPOINTS = {"deepspeed": "checkpoints", "torch": "checkpoints-torch"}  # of each engine


@dataclass
class Job:
    """One training, as a worker sees it."""

    objective: Objective
    metadata: dict[str, str]
    labels: dict[str, int] | None = None  # identity → class, where the objective wants "label"
    balanced: bool = False  # every identity equally often
    evaluate: Callable[[], dict[str, float]] | None = None
    panels: dict[str, Panel] = field(default_factory=dict)  # pictures for TensorBoard
    notes: list[str] = field(default_factory=list)  # what it starts from


@dataclass(frozen=True)
class Work:
    """What the driver sends to the workers."""

    name: str
    folder: str  # URI of the stage's folder, where events and weights go
    shards: list[str]
    options: OptimiserSettings
    plan: Plan
    seed: int
    build: Callable[[], Job]
    only_evaluated: bool = False  # report nothing but validations (a search trial)
    callbacks: list[Any] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)  # what a search chose


def plan_of(
    options: OptimiserSettings, rows: int, fingerprint: str, evaluate_every: int | None = None
) -> Plan:
    """The loop's plan for that many training clips; epochs become steps here.

    `fingerprint` is that of the stage: only its own checkpoints are gone on from.
    """
    rows_a_step = options.batch_size * options.workers
    steps = options.steps or max(1, round((options.epochs or 0) * rows / rows_a_step))
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        learning_rate=options.rate(),
        schedule=options.schedule,
        warmup=options.warmup,
        log_every=options.log_every,
        evaluate_every=evaluate_every,
        checkpoint_every=options.checkpoint_every,
        fingerprint=fingerprint,
        seconds=None if options.minutes is None else 60 * options.minutes,
        max_skipped=options.max_skipped,
    )


def open_job(work: Work, quiet: bool = False) -> Job:
    """Build the job in this process, the same from a seed, and say what weights it starts from."""
    torch.manual_seed(work.seed)
    job = work.build()
    if work.options.init is not None:
        job.notes.append(initial_weights.start(job.objective.network, work.options.init))
    for note in job.notes if not quiet else ():
        print(f"[{work.name}] starts {note}", flush=True)
    return job


def batches_of(
    work: Work, job: Job, device: torch.device, rank: int = 0, world_size: int = 1
) -> Callable[[int], Iterator[Arrays]]:
    """What gives the loop this rank's batches from a global row on.

    A GPU that has room for all clips is given them once. For one that has not, a thread has the
    next batch in pinned memory before it is asked for.
    """
    options, columns = work.options, job.objective.columns
    reader = ShardReader(
        work.shards, options.batch_size, seed=work.seed, columns=columns,
        rank=rank, world_size=world_size, balanced=job.balanced,
        threads=options.loader_threads,
    )  # fmt: skip
    kept = None
    if options.resident and resident.fits(work.shards, columns, device):
        kept = resident.load(work.shards, columns, device)

    def labelled(row: int) -> Iterator[Arrays]:
        for batch in reader.batches(row) if kept is None else kept.batches(reader, row):
            if "motion" in batch and "known" not in batch:
                batch = resident.with_known(batch)
            if job.labels is not None:
                labels = [job.labels[identity] for identity in batch.pop("identity")]
                batch["label"] = np.asarray(labels, np.int64)
            yield batch

    def batches(row: int) -> Iterator[Arrays]:
        ahead = device.type == "cuda" and kept is None
        stream = read_ahead(lambda: pinned(labelled(row)), 1) if ahead else labelled(row)
        if not options.profile or rank:
            return stream
        return traced(stream, options.profile, storage.join(work.folder, "trace.json"))

    return batches


def watch_of(work: Work, job: Job) -> Watch:
    """What shows the training to people."""
    # Worker 0 alone draws, and with ZeRO 3 the network runs on all workers or hangs.
    parted = work.options.zero_stage == 3 and work.options.workers > 1
    panels = {} if parted else job.panels
    return Watch(work.name, work.folder, work.plan.steps, panels, work.hyperparameters)


def keeper(work: Work) -> Callable[[str, dict[str, Tensor]], str]:
    """What writes a batch that cannot be trained on to the stage's folder, and says where."""

    def keep(name: str, batch: dict[str, Tensor]) -> str:
        uri = storage.join(work.folder, f"{name}.safetensors")
        arrays = {column: np.ascontiguousarray(value.cpu()) for column, value in batch.items()}
        storage.write_bytes(uri, safetensors.numpy.save(arrays))
        return uri

    return keep


def mark_of(work: Work, scalars: dict[str, float], world_size: int) -> Mark:
    """What a checkpoint is of, for those who look for one to go on from."""
    return Mark(
        step=int(scalars["step"]),
        world_size=world_size,
        score=scalars.get(f"validation_{work.plan.score}"),
        scalars=scalars,
        fingerprint=work.plan.fingerprint,
        seed=work.seed,
        shards=[uri.rsplit("/", 1)[-1] for uri in work.shards],
        versions=versions(),
    )


def take_best(checkpoints: Checkpoints, engine: Engine, step: int | None) -> dict[str, float]:
    """Go back to the checkpoint of a step, if there is one; returns its `best_step` and validation.

    The last weights are seldom the best: a training overfits, or is stopped for having done so.
    """
    if step is None:
        return {}
    mark = checkpoints.at(step)
    with checkpoints.files(mark) as folder:
        assert folder is not None
        engine.load(folder)
    found = {name: v for name, v in mark.scalars.items() if name.startswith("validation_")}
    return {"best_step": step, **found}


def write_weights(work: Work, job: Job, engine: Engine) -> None:
    """Write the result as safetensors; every rank must call it, the first one writes."""
    state = engine.network_state()
    if engine.rank == 0:
        tensors = {name: value.contiguous() for name, value in state.items()}
        content = safetensors.torch.save(tensors, metadata=job.metadata)
        storage.write_bytes(storage.join(work.folder, "weights.safetensors"), content)
