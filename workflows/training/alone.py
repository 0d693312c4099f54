"""A search's trial in the trial's own process: TorchTrainer's local mode, DeepSpeed included.

A TorchTrainer with workers starts seven processes, each with imports of its own, before the first
step. A trial of one worker, which keeps neither checkpoint nor weights, needs none of them.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from infra import cluster
from infra.training.deepspeed_engine import DeepSpeedEngine
from infra.training.loop import train
from workflows.training.job import Work, batches_of, keeper, open_job, watch_of


def fit_alone(work: Work, report: Callable[[dict[str, float]], None]) -> None:
    """Train here, once a process, and hand each validation to `report`."""
    # A process group of one, for DeepSpeed; TorchTrainer reads it as torchrun would set it.
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(cluster.free_port())}  # fmt: skip
    logging.getLogger("ray.train").setLevel(logging.WARNING)  # it announces its local mode
    scaling = ScalingConfig(num_workers=0, use_gpu=work.options.gpus_per_worker > 0)
    TorchTrainer(partial(_train, work, report), scaling_config=scaling).fit()


def _train(work: Work, report: Callable[[dict[str, float]], None]) -> None:
    options = work.options
    torch.set_num_threads(max(1, int(options.cpus_per_worker)))
    job = open_job(work)
    engine = DeepSpeedEngine(job.objective, options)
    watch = watch_of(work, job)

    def see(scalars: dict[str, float], _: Path | None) -> None:
        evaluated = "validation_psnr" in scalars
        watch.see(scalars, milestone=evaluated)
        if evaluated:
            report(scalars)

    batches = batches_of(work, job, engine.device)
    train(engine, batches, see, work.plan, None, job.evaluate, keeper(work))
    watch.close()
