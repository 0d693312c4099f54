"""Ray Train around the one training loop: workers, checkpoints, final weights.

A stage describes its training as a Job, built inside each worker by a function of the stage;
everything that differs between the recogniser, the warp predictor and the restoration network is
in that Job.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import safetensors.torch
import torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
)
from ray.train.torch import TorchConfig, TorchTrainer
from torch import nn

from datasets.reader import ShardReader
from infra import storage
from infra.engines import DeepSpeedEngine, Engine
from infra.loop import Arrays, Plan, train
from infra.settings_training import OptimiserSettings
from workflows.watch import Panel, Watch


@dataclass
class Job:
    """One training, as a worker sees it."""

    objective: nn.Module
    columns: list[str]
    metadata: dict[str, str]
    labels: dict[str, int] | None = None  # identity → class, where the objective wants "label"
    evaluate: Callable[[], dict[str, float]] | None = None
    panels: dict[str, Panel] = field(default_factory=dict)  # pictures for TensorBoard


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
    """The loop's plan for that many training clips; epochs become steps here."""
    rows_a_step = options.batch_size * options.workers
    steps = options.steps or max(1, round((options.epochs or 0) * rows / rows_a_step))
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        warmup=options.warmup,
        log_every=options.log_every,
        evaluate_every=evaluate_every,
        checkpoint_every=options.checkpoint_every,
        fingerprint=fingerprint,
    )


def fit(work: Work) -> dict[str, Any]:
    """Train on Ray; returns the last scalars. The same folder resumes from its last checkpoint."""
    options = work.options
    resources = {"CPU": options.cpus_per_worker}
    if options.gpus_per_worker:
        resources["GPU"] = options.gpus_per_worker
    trainer = TorchTrainer(
        partial(_worker, work),
        scaling_config=ScalingConfig(
            num_workers=options.workers,
            use_gpu=options.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=work.name,
            storage_path=storage.join(work.folder, "checkpoints"),
            failure_config=FailureConfig(max_failures=options.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            callbacks=work.callbacks,
            logging_config=LoggingConfig(log_level="WARNING"),
        ),
        torch_config=TorchConfig(backend="nccl" if options.gpus_per_worker else "gloo"),
    )
    return dict(trainer.fit().metrics or {})


def _worker(work: Work) -> None:
    """What runs in each Ray Train worker process."""
    # Ray Train repeats every report on the root logger.
    logging.getLogger().setLevel(logging.WARNING)
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    options = work.options
    torch.set_num_threads(max(1, int(options.cpus_per_worker)))
    torch.manual_seed(work.seed)
    job = work.build()
    engine = DeepSpeedEngine(
        job.objective, options.batch_size, options.zero_stage, options.precision, options.beta2
    )
    batches = batches_of(work, job, rank, world_size)
    watch = None
    if rank == 0:
        watch = Watch(work.name, work.folder, work.plan.steps, job.panels, work.hyperparameters)

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        evaluated = "validation_psnr" in scalars
        if watch is not None:
            watch.see(scalars, milestone=evaluated or folder is not None)
        if work.only_evaluated and not evaluated:
            return
        checkpoint = Checkpoint.from_directory(folder) if folder is not None else None
        ray.train.report(scalars, checkpoint=checkpoint)

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        train(engine, batches, report, work.plan, None, job.evaluate)
    else:
        with checkpoint.as_directory() as folder:
            train(engine, batches, report, work.plan, Path(folder), job.evaluate)
    write_weights(work, job, engine)
    if watch is not None:
        watch.close()


def batches_of(
    work: Work, job: Job, rank: int = 0, world_size: int = 1
) -> Callable[[int], Iterator[Arrays]]:
    """What gives the loop this rank's batches from a global row on."""
    reader = ShardReader(
        work.shards, work.options.batch_size, seed=work.seed, columns=job.columns,
        rank=rank, world_size=world_size,
    )  # fmt: skip

    def batches(row: int) -> Iterator[Arrays]:
        for batch in reader.batches(row):
            if job.labels is not None:
                labels = [job.labels[identity] for identity in batch.pop("identity")]
                batch["label"] = np.asarray(labels, np.int64)
            yield batch

    return batches


def write_weights(work: Work, job: Job, engine: Engine) -> None:
    """Write the result as safetensors; every rank must call it, the first one writes."""
    state = engine.network_state()
    if engine.rank == 0:
        tensors = {name: value.contiguous() for name, value in state.items()}
        content = safetensors.torch.save(tensors, metadata=job.metadata)
        storage.write_bytes(storage.join(work.folder, "weights.safetensors"), content)
