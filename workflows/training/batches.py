"""What feeds the loop of a worker: batches of shards, or of the memory of a GPU that has room.

With all training clips in it no step waits for a disk or for a copy. The rows come in the order of
the reader all the same, so that a training sees the same clips with and without.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.shards.files import open_shard, read_rows
from datasets.shards.prefetch import read_ahead
from datasets.shards.reader import ShardReader
from datasets.shards.tensors import arrays, byte_width
from infra import storage
from infra.training.optimiser_step import ON_HOST, pinned
from infra.training.profiling import traced
from model.pixels import sent
from workflows.training.job import Trainee, TrainingJob

MOST = 0.25  # of the memory that is free when the training begins; the network needs the rest
Arrays = dict[str, Any]  # NumPy arrays, or tensors that lie on the device already


def batches_of(
    job: TrainingJob, trainee: Trainee, device: torch.device, rank: int = 0, world_size: int = 1
) -> Callable[[int], Iterator[Arrays]]:
    """What gives the loop this rank's batches from a global row on.

    A GPU that has room for all clips is given them once. For one that has not, a thread has the
    next batch in pinned memory before it is asked for.
    """
    options, columns = job.options, trainee.objective.columns
    reader = ShardReader(
        job.shards, options.batch_size, seed=job.seed, columns=columns,
        rank=rank, world_size=world_size, balanced=trainee.balanced,
        threads=options.loader_threads,
    )  # fmt: skip
    kept = None
    if options.resident and fits(job.shards, columns, device):
        kept = resident(job.shards, columns, device)

    def labelled(row: int) -> Iterator[Arrays]:
        for batch in reader.batches(row) if kept is None else kept.batches(reader, row):
            if "motion" in batch and "known" not in batch:
                batch = with_known(batch)
            if trainee.labels is not None:
                labels = [trainee.labels[identity] for identity in batch.pop("identity")]
                batch["label"] = np.asarray(labels, np.int64)
            yield batch

    def batches(row: int) -> Iterator[Arrays]:
        ahead = device.type == "cuda" and kept is None
        stream = read_ahead(lambda: pinned(labelled(row)), 1) if ahead else labelled(row)
        if not options.profile or rank:
            return stream
        return traced(stream, options.profile, storage.join(job.folder, "trace.json"))

    return batches


@dataclass(frozen=True)
class Resident:
    """Every row of a data set, in the order of its files: tensors on a device, and arrays that
    stay with the host."""

    tensors: dict[str, Tensor]
    host: dict[str, NDArray[Any]]

    def batches(self, reader: ShardReader, start_row: int) -> Iterator[Arrays]:
        """The batches that `reader.batches` would read."""
        there = next(iter(self.tensors.values()))
        for numbers in reader.numbers(start_row):
            index = sent(torch.from_numpy(numbers), there)
            yield {
                **{name: value.index_select(0, index) for name, value in self.tensors.items()},
                **{name: value[numbers] for name, value in self.host.items()},
            }


def with_known(batch: Arrays) -> Arrays:
    """The batch with `known`, N×T: the frames whose motion is known, told without asking a GPU."""
    return batch | {"known": np.isfinite(batch["motion"]).all(axis=(2, 3))}


def fits(shards: Sequence[str], columns: Sequence[str], device: torch.device) -> bool:
    """Whether these columns of all rows take no more of a GPU than they may."""
    if device.type != "cuda":
        return False
    needed = 0
    for uri in shards:
        with open_shard(uri) as file:
            types = [file.schema_arrow.field(name).type for name in columns]
            needed += file.metadata.num_rows * sum(map(byte_width, types))
    return needed <= MOST * torch.cuda.mem_get_info(device)[0]


def resident(shards: Sequence[str], columns: Sequence[str], device: torch.device) -> Resident:
    """Read every row once; text and what is in ON_HOST stays with the host."""
    read = [arrays(read_rows(uri, list(columns))) for uri in shards]
    whole: Arrays = {name: np.concatenate([part[name] for part in read]) for name in columns}
    whole = with_known(whole) if "motion" in whole else whole
    on_host = {name for name, value in whole.items() if name in ON_HOST or value.dtype == object}
    return Resident(
        {
            name: torch.from_numpy(value).to(device)
            for name, value in whole.items()
            if name not in on_host
        },
        {name: whole[name] for name in sorted(on_host)},
    )
