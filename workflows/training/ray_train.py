"""Ray Train around the one training loop: workers and restarts; DeepSpeed makes the steps."""

import logging
import warnings
from functools import partial
from typing import Any

import ray.train
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer

from infra import cluster, process, storage
from infra.errors import FacestackError, FaultError
from infra.nodes import relay
from infra.progress import say
from infra.training.checkpoints import Checkpoints
from infra.training.deepspeed_engine import DeepSpeedEngine
from workflows.training.driver import drive, trainee_of, validations
from workflows.training.job import CHECKPOINTS, TrainingJob


class LostWorkerError(FaultError):
    """A worker went without a word, more often than is allowed."""


def fit(job: TrainingJob) -> dict[str, float]:
    """Train on Ray; the same folder goes on from its last checkpoint.

    Returns the last scalars; the validation is that of the weights that were written.
    A lost worker is replaced `max_failures` times. Raises what a worker raised, and
    LostWorkerError where workers are lost more often.
    """
    options = job.options
    resources = {"CPU": options.cpus_per_worker}
    if options.gpus_per_worker:
        resources["GPU"] = options.gpus_per_worker
    path, filesystem = cluster.place(storage.join(job.folder, CHECKPOINTS["deepspeed"]))
    trainer = TorchTrainer(
        partial(_worker, job),
        scaling_config=ScalingConfig(
            num_workers=options.workers,
            use_gpu=options.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=job.name,
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=options.max_failures),
            callbacks=[Restarts(job.name), *job.callbacks],
            logging_config=LoggingConfig(log_level="WARNING"),
        ),
        torch_config=TorchConfig(backend="nccl" if options.gpus_per_worker else "gloo"),
    )
    try:
        return dict(trainer.fit().return_value)
    except ray.train.ControllerError as error:
        raise error.controller_failure from None
    except ray.train.WorkerGroupError as error:
        rank, failure = next(iter(error.worker_failures.items()))
        cause = _raised_in_worker(failure)
        if cause is None:
            more = f" once more than max_failures {options.max_failures} allows"
            raise LostWorkerError(
                f"{job.name}: worker {rank} was lost{more if options.max_failures else ''} "
                f"({_said(failure)}). Give the same command again to go on from the last checkpoint"
            ) from None
        cause.add_note(str(failure))  # with the traceback of the worker
        raise cause from None
    finally:
        relay.catch_up()


class Restarts(UserCallback):
    """Says when a worker is replaced, and ends a training at an error that would come again."""

    def __init__(self, name: str) -> None:
        self.name = name

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the first of our own errors, as one that Ray Train does not retry."""
        for rank, failure in worker_exceptions.items():
            cause = _raised_in_worker(failure)
            if isinstance(cause, FacestackError):
                raise ray.train.ControllerError(cause)
            say(self.name, f"worker {rank} was lost ({_said(cause or failure)})")
        # Ray Train writes a page about each worker that is no longer there to be closed.
        logging.getLogger("ray.train.v2._internal.callbacks.backend_setup").setLevel("CRITICAL")


def _raised_in_worker(failure: Exception) -> Exception | None:
    """The exception that our code raised in a worker; None where the worker was lost."""
    return getattr(failure, "_base_exc", None)


def _said(error: Exception) -> str:
    error = getattr(error, "health_check_failure", error)
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _worker(job: TrainingJob) -> dict[str, float]:
    """What runs in each Ray Train worker process; returns the last scalars."""
    # Ray Train repeats every report on the root logger.
    logging.getLogger().setLevel(logging.WARNING)
    # DeepSpeed calls what torch is about to rename.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    process.limit_threads(max(1, int(job.options.cpus_per_worker)))
    rank = ray.train.get_context().get_world_rank()
    trainee = trainee_of(job, rank)
    engine = DeepSpeedEngine(trainee.objective, job.options)
    checkpoints = Checkpoints(storage.join(job.folder, CHECKPOINTS["deepspeed"]), rank)
    told = [validations(ray.train.report)] if job.only_evaluated else []
    return drive(job, trainee, engine, checkpoints, told)
