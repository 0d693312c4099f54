"""Ray Train around the one training loop: workers, restarts, TensorBoard, final weights.

A stage describes its training as a Job, built inside each worker by a function of the stage;
everything that differs between the recogniser, the warp predictor and the restoration network is
in that Job.
"""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import safetensors.torch
import torch
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from datasets.reader import ShardReader
from datasets.shards import ShardError
from infra import storage
from infra.checkpoints import Checkpoints, Mark
from infra.engines import DeepSpeedEngine
from infra.errors import FacestackError, FaultError
from infra.loop import Arrays, Plan, train
from infra.runs import versions
from infra.settings_training import OptimiserSettings


@dataclass
class Job:
    """One training, as a worker sees it."""

    objective: nn.Module
    columns: list[str]
    metadata: dict[str, str]
    labels: dict[str, int] | None = None  # identity → class, where the objective wants "label"
    evaluate: Callable[[], dict[str, float]] | None = None
    panel: Callable[[], np.ndarray] | None = None  # H×W×3 uint8 picture for TensorBoard


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


def plan_of(
    options: OptimiserSettings, rows: int, fingerprint: str, evaluate_every: int | None = None
) -> Plan:
    """The loop's plan for that many training clips; epochs become steps here.

    `fingerprint` is that of the clips; with the settings it makes the checkpoints'.
    """
    rows_a_step = options.batch_size * options.workers
    steps = options.steps or max(1, round((options.epochs or 0) * rows / rows_a_step))
    made_from = json.dumps([fingerprint, options.made_from()], sort_keys=True)
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        warmup=options.warmup,
        log_every=options.log_every,
        evaluate_every=evaluate_every,
        checkpoint_every=options.checkpoint_every,
        fingerprint=hashlib.sha256(made_from.encode()).hexdigest()[:16],
    )


def fit(work: Work) -> dict[str, float]:
    """Train on Ray; returns the last scalars. The same folder goes on from its last checkpoint.

    A lost worker is replaced `max_failures` times. Raises what a worker raised, and FaultError
    where workers are lost more often.
    """
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
            callbacks=[Restarts(work.name), *work.callbacks],
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
            raise FaultError(
                f"{work.name}: worker {rank} was lost once more than max_failures "
                f"{options.max_failures} allows ({_said(failure)}). Give the same command again "
                "to go on from the last checkpoint"
            ) from None
        cause.add_note(str(failure))  # with the traceback of the worker
        raise cause from None


class Restarts(UserCallback):
    """Says when a worker is replaced, and ends a training at an error that would come again."""

    def __init__(self, name: str) -> None:
        self.name = name

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the first of our own errors, as one that Ray Train does not retry."""
        for rank, failure in worker_exceptions.items():
            cause = _raised_in_worker(failure)
            if isinstance(cause, FacestackError | ShardError):
                raise ray.train.ControllerError(cause)
            print(f"[{self.name}] worker {rank} was lost ({_said(cause or failure)})")
        # Ray Train writes a page about each worker that is no longer there to be closed.
        logging.getLogger("ray.train.v2._internal.callbacks.backend_setup").setLevel("CRITICAL")


def _raised_in_worker(failure: Exception) -> Exception | None:
    """The exception that our code raised in a worker; None where the worker was lost."""
    return getattr(failure, "_base_exc", None)


def _said(error: Exception) -> str:
    error = getattr(error, "health_check_failure", error)
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _worker(work: Work) -> dict[str, float]:
    """What runs in each Ray Train worker process; returns the last scalars."""
    # Ray Train repeats every report on the root logger.
    logging.getLogger().setLevel(logging.WARNING)
    # DeepSpeed calls what torch is about to rename.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    options = work.options
    torch.set_num_threads(max(1, int(options.cpus_per_worker)))
    torch.manual_seed(work.seed)
    job = work.build()
    if rank:  # all begin with the same weights, and each augments its own clips
        torch.manual_seed(work.seed + rank)
    checkpoints = Checkpoints(storage.join(work.folder, "checkpoints"), rank)
    step = broadcast_from_rank_zero(checkpoints.newest() if rank == 0 else None)
    found = None if step is None else checkpoints.at(step)
    engine = DeepSpeedEngine(
        job.objective, options.batch_size, options.zero_stage, options.precision, options.beta2,
        universal=found is not None and found.world_size != world_size,
    )  # fmt: skip
    reader = ShardReader(
        work.shards, options.batch_size, seed=work.seed, columns=job.columns,
        rank=rank, world_size=world_size,
    )  # fmt: skip
    watch = Watch(work, job) if rank == 0 else None
    last = {} if found is None else found.scalars

    def batches(row: int) -> Iterator[Arrays]:
        for batch in reader.batches(row):
            if job.labels is not None:
                labels = [job.labels[identity] for identity in batch.pop("identity")]
                batch["label"] = np.asarray(labels, np.int64)
            yield batch

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        nonlocal last
        last = mean_of_workers(scalars, world_size)
        checkpoints.check()
        if watch is not None:
            with storage.writing(work.folder):
                watch.see(last, folder is not None)
        if folder is not None:
            checkpoints.save(folder, _mark(work, last, world_size))
        if work.only_evaluated and "validation_psnr" in last:
            ray.train.report(last)

    try:
        with checkpoints.files(found) as folder:
            train(engine, batches, report, work.plan, folder, job.evaluate)
    finally:
        checkpoints.wait()
    state = engine.network_state()
    if rank == 0:
        tensors = {name: value.contiguous() for name, value in state.items()}
        content = safetensors.torch.save(tensors, metadata=job.metadata)
        storage.write_bytes(storage.join(work.folder, "weights.safetensors"), content)
    if watch is not None:
        watch.close()
    return last


def mean_of_workers(scalars: dict[str, float], workers: int) -> dict[str, float]:
    """Each scalar's mean over the workers, of which each has seen its own part of the batch."""
    if workers == 1:
        return scalars
    every: list[dict[str, float]] = [{}] * workers
    torch.distributed.all_gather_object(every, scalars)
    means = {name: float(np.mean([of[name] for of in every])) for name in scalars}
    return means | {"step": scalars["step"]}


def _mark(work: Work, scalars: dict[str, float], world_size: int) -> Mark:
    return Mark(
        step=int(scalars["step"]),
        world_size=world_size,
        score=scalars.get("validation_psnr"),
        scalars=scalars,
        fingerprint=work.plan.fingerprint,
        seed=work.seed,
        shards=[uri.rsplit("/", 1)[-1] for uri in work.shards],
        versions=versions(),
    )


class Watch:
    """Text progress and TensorBoard events of one training; an upload at each checkpoint."""

    def __init__(self, work: Work, job: Job) -> None:
        self.work = work
        self.job = job
        self.uri = storage.join(work.folder, "events")
        if storage.is_local(self.uri):
            self.folder = Path(self.uri)
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="facestack-events-"))
        self.writer = SummaryWriter(str(self.folder))
        self.history_uri = storage.join(work.folder, "history.json")
        self.history: list[dict[str, float]] = []
        if storage.exists(self.history_uri):  # resumed: keep what came before the checkpoint
            self.history = storage.read_json(self.history_uri)

    def see(self, scalars: dict[str, float], saved: bool) -> None:
        """Show one report; history.json holds all of them for the figures of the report."""
        step = int(scalars["step"])
        self.history = [old for old in self.history if old["step"] < step] + [scalars]
        for name, value in scalars.items():
            if name != "step":
                self.writer.add_scalar(f"{self.work.name}/{name}", value, step)
        shown = {n: v for n, v in scalars.items() if n not in ("step", "loader_share")}
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(f"[{self.work.name}] step {step}/{self.work.plan.steps}  {text}", flush=True)
        if saved:
            if self.job.panel is not None:
                self.writer.add_image("panel", self.job.panel(), step, dataformats="HWC")
            self.writer.flush()
            self._upload()
            storage.write_json(self.history_uri, self.history)

    def close(self) -> None:
        """Flush and hand the events over."""
        self.writer.close()
        self._upload()

    def _upload(self) -> None:
        if not storage.is_local(self.uri):
            storage.upload(self.folder, self.uri)
