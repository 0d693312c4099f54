"""A training in this process: on a CPU or the first GPU, with neither Ray nor DeepSpeed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from infra import storage
from infra.engines import TorchEngine
from infra.loop import train
from workflows.jobs import Work, batches_of, keeper, open_job, write_weights
from workflows.watch import Watch

KEPT = 2


def fit(work: Work) -> dict[str, Any]:
    """Train here; returns the last scalars. The same folder resumes from its last checkpoint."""
    job = open_job(work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = TorchEngine(job.objective, work.options, device)
    watch = Watch(work, job)
    checkpoints = storage.join(work.folder, "checkpoints-torch")
    last: dict[str, Any] = {}

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        watch.see(scalars, folder is not None)
        last.update(scalars)
        if folder is not None:
            keep_checkpoint(checkpoints, folder, int(scalars["step"]))

    with last_checkpoint(checkpoints) as folder:
        train(engine, batches_of(work, job), report, work.plan, folder, job.evaluate, keeper(work))
    write_weights(work, job, engine)
    watch.close()
    return last


def keep_checkpoint(uri: str, folder: Path, step: int) -> None:
    """Store a checkpoint as the last one; the one before it stays until this one is whole."""
    name = f"step-{step}"
    storage.upload(folder, storage.join(uri, name))
    marker = storage.join(uri, "last.json")
    older = storage.read_json(marker) if storage.exists(marker) else []
    kept = [name, *(other for other in older if other != name)]
    storage.write_json(marker, kept[:KEPT])
    for other in kept[KEPT:]:
        storage.remove(storage.join(uri, other))


@contextmanager
def last_checkpoint(uri: str) -> Iterator[Path | None]:
    """A local folder with the last checkpoint's files; None where there is none."""
    marker = storage.join(uri, "last.json")
    if not storage.exists(marker):
        yield None
        return
    whole = storage.join(uri, storage.read_json(marker)[0])
    with TemporaryDirectory() as folder:
        for file in storage.files(whole):
            (Path(folder) / file.rsplit("/", 1)[-1]).write_bytes(storage.read_bytes(file))
        yield Path(folder)
