"""A training in this process: with plain PyTorch, or a trial of a search with DeepSpeed."""

import logging
import os
from collections.abc import Callable
from functools import partial

import torch

from infra import process, storage
from infra.training.checkpoints import Checkpoints
from infra.training.deepspeed_engine import DeepSpeedEngine
from infra.training.torch_engine import TorchEngine
from workflows.training.driver import drive, trainee_of, validations
from workflows.training.job import CHECKPOINTS, TrainingJob


def fit(job: TrainingJob) -> dict[str, float]:
    """Train on a CPU or the first GPU with neither Ray nor DeepSpeed; returns the last scalars.

    The same folder goes on from its last checkpoint.
    """
    trainee = trainee_of(job)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = TorchEngine(trainee.objective, job.options, device)
    return drive(job, trainee, engine, Checkpoints(storage.join(job.folder, CHECKPOINTS["torch"])))


def fit_trial(job: TrainingJob, report: Callable[[dict[str, float]], None]) -> None:
    """Train in the trial's own process, once a process, and hand each validation to `report`.

    A TorchTrainer with workers starts seven processes, each with imports of its own, before the
    first step. A trial of one worker, which keeps neither checkpoint nor weights, needs none of
    them: TorchTrainer's local mode.
    """
    # Imported here, since plain PyTorch needs no Ray.
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    from infra import cluster

    # A process group of one, for DeepSpeed; TorchTrainer reads it as torchrun would set it.
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(cluster.free_port())}  # fmt: skip
    logging.getLogger("ray.train").setLevel(logging.WARNING)  # it announces its local mode
    scaling = ScalingConfig(num_workers=0, use_gpu=job.options.gpus_per_worker > 0)
    TorchTrainer(partial(_train, job, report), scaling_config=scaling).fit()


def _train(job: TrainingJob, report: Callable[[dict[str, float]], None]) -> None:
    process.limit_threads(max(1, int(job.options.cpus_per_worker)))
    trainee = trainee_of(job)
    engine = DeepSpeedEngine(trainee.objective, job.options)
    drive(job, trainee, engine, observers=[validations(report)])
