"""A training in this process: on a CPU or the first GPU, with neither Ray nor DeepSpeed."""

from pathlib import Path

import torch

from infra import storage
from infra.training.checkpoints import Checkpoints
from infra.training.loop import train
from infra.training.torch_engine import TorchEngine
from workflows.training.job import (
    CHECKPOINTS,
    Work,
    batches_of,
    keeper,
    mark_of,
    open_job,
    take_best,
    watch_of,
    write_weights,
)


def fit(work: Work) -> dict[str, float]:
    """Train here; the same folder goes on from its last checkpoint.

    Returns the last scalars; the validation is that of the weights that were written.
    """
    job = open_job(work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = TorchEngine(job.objective, work.options, device)
    batches = batches_of(work, job, engine.device)
    watch = watch_of(work, job)
    checkpoints = Checkpoints(storage.join(work.folder, CHECKPOINTS["torch"]))
    step = checkpoints.newest()
    found = None if step is None else checkpoints.at(step)
    last = {} if found is None else found.scalars

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        nonlocal last
        last = scalars
        checkpoints.check()
        with storage.writing(work.folder):
            watch.see(scalars, folder is not None)
        if folder is not None:
            checkpoints.save(folder, mark_of(work, scalars, world_size=1))

    try:
        with checkpoints.files(found) as folder:
            train(engine, batches, report, work.plan, folder, job.evaluate, keeper(work))
    finally:
        checkpoints.wait()
    if work.plan.best:
        last = last | take_best(checkpoints, engine, checkpoints.best())
    write_weights(work, job, engine)
    watch.close()
    return last
