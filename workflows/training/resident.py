"""All training clips in a GPU's memory, where they fit: no step waits for a disk or for a copy.

The rows come in the order of the reader, so that a training sees the same clips with and without.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.shards.files import open_shard, read_rows
from datasets.shards.reader import ShardReader
from datasets.shards.tensors import arrays, byte_width
from infra.training.optimiser_step import ON_HOST
from model.pixels import sent

MOST = 0.25  # of the memory that is free when the training begins; the network needs the rest
Batch = dict[str, Any]


@dataclass(frozen=True)
class Resident:
    """Every row of a data set, in the order of its files: tensors on a device, and arrays that
    stay with the host."""

    tensors: dict[str, Tensor]
    host: dict[str, NDArray[Any]]

    def batches(self, reader: ShardReader, start_row: int) -> Iterator[Batch]:
        """The batches that `reader.batches` would read."""
        there = next(iter(self.tensors.values()))
        for numbers in reader.numbers(start_row):
            index = sent(torch.from_numpy(numbers), there)
            yield {
                **{name: value.index_select(0, index) for name, value in self.tensors.items()},
                **{name: value[numbers] for name, value in self.host.items()},
            }


def with_known(batch: Batch) -> Batch:
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


def load(shards: Sequence[str], columns: Sequence[str], device: torch.device) -> Resident:
    """Read every row once; text and what is in ON_HOST stays with the host."""
    read = [arrays(read_rows(uri, list(columns))) for uri in shards]
    whole: Batch = {name: np.concatenate([part[name] for part in read]) for name in columns}
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
