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
import torch

from datasets.shards.prefetch import read_ahead
from datasets.shards.reader import ShardReader
from infra import storage
from infra.settings.training import OptimiserSettings
from infra.training.engine import Objective
from infra.training.optimiser_step import pinned
from infra.training.plan import Plan
from infra.training.profiling import traced
from workflows.training import initial_weights, resident
from workflows.training.monitor import Panel

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


def open_job(work: Work, rank: int = 0, quiet: bool = False) -> Job:
    """Build the job in this process, the same from a seed, and say what weights it starts from.

    All ranks begin with the same weights; each then draws its own augmentation.
    """
    torch.manual_seed(work.seed)
    job = work.build()
    if work.options.init is not None:
        job.notes.append(initial_weights.start(job.objective.network, work.options.init))
    for note in job.notes if not (quiet or rank) else ():
        print(f"[{work.name}] starts {note}", flush=True)
    if rank:
        torch.manual_seed(work.seed + rank)
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
