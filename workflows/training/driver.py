"""The one way that a training goes, wherever it runs and whatever makes its steps.

ray_train.py and in_process.py build the trainee and make the engine; `drive` finds the checkpoint
to go on from, feeds the loop and hands each report to observers. It knows neither Ray nor
DeepSpeed.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor

from infra import storage
from infra.progress import say
from infra.provenance import versions
from infra.training.checkpoints import Checkpoints, Mark
from infra.training.engine import Engine
from infra.training.loop import train
from workflows.shared.artifacts import WEIGHTS
from workflows.training import initial_weights
from workflows.training.batches import batches_of
from workflows.training.job import Trainee, TrainingJob
from workflows.training.monitor import Watch

# What sees each report: scalars, means over the ranks, and the files of a checkpoint or None.
Observer = Callable[[dict[str, float], Path | None], None]


def drive(
    job: TrainingJob,
    trainee: Trainee,
    engine: Engine,
    checkpoints: Checkpoints | None = None,
    observers: Sequence[Observer] = (),
) -> dict[str, float]:
    """Train, on every rank alike; go on from the newest checkpoint, and write the weights.

    Returns the last scalars; the validation is that of the weights that were written. Without
    checkpoints nothing is kept, no weights either. `observers` come after those of every training.
    """
    step = None if checkpoints is None else _of_rank_zero(engine, checkpoints.newest)
    found = None if checkpoints is None or step is None else checkpoints.at(step)
    last = {} if found is None else found.scalars
    batches = batches_of(job, trainee, engine.device, engine.rank, engine.world_size)
    every: list[Observer] = []

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        nonlocal last
        last = engine.mean_of_ranks(scalars)
        for observe in every:
            observe(last, folder)

    # In the end, and whatever ends it, what was saved and shown has come where it belongs.
    with ExitStack() as open_until_then:
        if checkpoints is not None:
            every.append(lambda *_: checkpoints.check())
            open_until_then.callback(checkpoints.close)
        if engine.rank == 0:
            every.append(_showing(job, open_until_then.enter_context(watch_of(job, trainee))))
        if checkpoints is not None:
            every.append(_saving(job, checkpoints, engine.world_size))
        every += observers
        with nullcontext() if checkpoints is None else checkpoints.files(found) as folder:
            train(engine, batches, report, job.plan, folder, trainee.evaluate, keeper(job))
    if checkpoints is not None:
        if job.plan.best:
            engine.agree(0)  # the files of all ranks are there
            last = last | take_best(checkpoints, engine, _of_rank_zero(engine, checkpoints.best))
        write_weights(job, trainee, engine)
    return last


def trainee_of(job: TrainingJob, rank: int = 0, quiet: bool = False) -> Trainee:
    """Build the trainee in this process, the same from a seed, and say what weights it starts from.

    All ranks begin with the same weights; each then draws its own augmentation.
    """
    torch.manual_seed(job.seed)
    trainee = job.build()
    if job.options.init is not None:
        trainee.notes.append(initial_weights.start(trainee.objective.network, job.options.init))
    for note in trainee.notes if not (quiet or rank) else ():
        say(job.name, f"starts {note}")
    if rank:
        torch.manual_seed(job.seed + rank)
    return trainee


def validations(tell: Callable[[dict[str, float]], object]) -> Observer:
    """Hands on the scalars of the reports with a validation, and no others: a search's trial."""

    def see(scalars: dict[str, float], _: Path | None) -> None:
        if "validation_psnr" in scalars:
            tell(scalars)

    return see


def _showing(job: TrainingJob, watch: Watch) -> Observer:
    def see(scalars: dict[str, float], folder: Path | None) -> None:
        with storage.writing(job.folder):
            watch.see(scalars, folder is not None or "validation_psnr" in scalars)

    return see


def _saving(job: TrainingJob, checkpoints: Checkpoints, world_size: int) -> Observer:
    def see(scalars: dict[str, float], folder: Path | None) -> None:
        if folder is not None:
            checkpoints.save(folder, mark_of(job, scalars, world_size))

    return see


def _of_rank_zero(engine: Engine, step: Callable[[], int | None]) -> int | None:
    """The step of a checkpoint that rank 0 alone looks for, on every rank; None for none."""
    found = step() if engine.rank == 0 else None
    agreed = engine.agree(-1 if found is None else found)
    return None if agreed < 0 else int(agreed)


def watch_of(job: TrainingJob, trainee: Trainee) -> Watch:
    """What shows the training to people."""
    # Worker 0 alone draws, and with ZeRO 3 the network runs on all workers or hangs.
    parted = job.options.zero_stage == 3 and job.options.workers > 1
    panels = {} if parted else trainee.panels
    return Watch(job.name, job.folder, job.plan.steps, panels, job.hyperparameters)


def keeper(job: TrainingJob) -> Callable[[str, dict[str, Tensor]], str]:
    """What writes a batch that cannot be trained on to the stage's folder, and says where."""

    def keep(name: str, batch: dict[str, Tensor]) -> str:
        uri = storage.join(job.folder, f"{name}.safetensors")
        arrays = {column: np.ascontiguousarray(value.cpu()) for column, value in batch.items()}
        storage.write_bytes(uri, safetensors.numpy.save(arrays))
        return uri

    return keep


def mark_of(job: TrainingJob, scalars: dict[str, float], world_size: int) -> Mark:
    """What a checkpoint is of, for those who look for one to go on from."""
    return Mark(
        step=int(scalars["step"]),
        world_size=world_size,
        score=scalars.get(f"validation_{job.plan.score}"),
        scalars=scalars,
        fingerprint=job.plan.fingerprint,
        seed=job.seed,
        shards=[uri.rsplit("/", 1)[-1] for uri in job.shards],
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


def write_weights(job: TrainingJob, trainee: Trainee, engine: Engine) -> None:
    """Write the result as safetensors; every rank must call it, the first one writes."""
    state = engine.network_state()
    if engine.rank == 0:
        tensors = {name: value.contiguous() for name, value in state.items()}
        content = safetensors.torch.save(tensors, metadata=trainee.metadata)
        storage.write_bytes(storage.join(job.folder, WEIGHTS), content)
