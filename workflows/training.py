"""Ray Train around the one training loop: workers and checkpoints; DeepSpeed makes the steps."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
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

from infra import storage
from infra.engines import DeepSpeedEngine
from infra.loop import train
from workflows.jobs import Work, batches_of, keeper, open_job, write_weights
from workflows.watch import Watch


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
    job = open_job(work, quiet=rank > 0)
    engine = DeepSpeedEngine(job.objective, options)
    batches = batches_of(work, job, rank, world_size)
    watch = Watch(work, job) if rank == 0 else None

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        if watch is not None:
            watch.see(scalars, folder is not None)
        if work.only_evaluated and "validation_psnr" not in scalars:
            return
        checkpoint = Checkpoint.from_directory(folder) if folder is not None else None
        ray.train.report(scalars, checkpoint=checkpoint)

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        train(engine, batches, report, work.plan, None, job.evaluate, keeper(work))
    else:
        with checkpoint.as_directory() as folder:
            train(engine, batches, report, work.plan, Path(folder), job.evaluate, keeper(work))
    write_weights(work, job, engine)
    if watch is not None:
        watch.close()
