"""A training in this process: with plain PyTorch, or a trial of a search with DeepSpeed."""

import logging
import os
from collections.abc import Callable
from functools import partial

import torch

from infra import storage
from infra.training.checkpoints import Checkpoints
from infra.training.deepspeed_engine import DeepSpeedEngine
from infra.training.torch_engine import TorchEngine
from workflows.training.driver import drive, validations
from workflows.training.job import CHECKPOINTS, Work, open_job


def fit(work: Work) -> dict[str, float]:
    """Train on a CPU or the first GPU with neither Ray nor DeepSpeed; returns the last scalars.

    The same folder goes on from its last checkpoint.
    """
    job = open_job(work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = TorchEngine(job.objective, work.options, device)
    return drive(work, job, engine, Checkpoints(storage.join(work.folder, CHECKPOINTS["torch"])))


def fit_trial(work: Work, report: Callable[[dict[str, float]], None]) -> None:
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
    scaling = ScalingConfig(num_workers=0, use_gpu=work.options.gpus_per_worker > 0)
    TorchTrainer(partial(_train, work, report), scaling_config=scaling).fit()


def _train(work: Work, report: Callable[[dict[str, float]], None]) -> None:
    torch.set_num_threads(max(1, int(work.options.cpus_per_worker)))
    job = open_job(work)
    engine = DeepSpeedEngine(job.objective, work.options)
    drive(work, job, engine, observers=[validations(report)])
