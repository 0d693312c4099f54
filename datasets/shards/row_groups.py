"""The row groups of shards: which there are, and rows of them as arrays."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.shards.files import OpenShards, ShardError, open_shard, reading
from datasets.shards.tensors import arrays

Batch = dict[str, NDArray]


@dataclass(frozen=True)
class RowGroup:
    """Row group number `group` of the file `uri`, with `rows` rows."""

    uri: str
    group: int
    rows: int


class Groups:
    """Reads rows out of row groups; keeps the `kept` groups last used, and their files open."""

    def __init__(self, groups: list[RowGroup], columns: list[str], kept: int) -> None:
        self.groups, self.columns, self.kept = groups, columns, kept
        self.cache: OrderedDict[int, Batch] = OrderedDict()
        self.files = OpenShards()

    def __enter__(self) -> "Groups":
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    def gather(self, places: list[tuple[int, int]]) -> Batch:
        """Copies the rows at (row group, row) together to one batch, in that order."""
        parts = [(self._group(group), row) for group, row in places]
        return {
            column: np.stack([part[column][row] for part, row in parts])
            if parts[0][0][column].dtype != object
            else np.array([part[column][row] for part, row in parts], object)
            for column in self.columns
        }

    def _group(self, index: int) -> Batch:
        if index in self.cache:
            self.cache.move_to_end(index)
            return self.cache[index]
        where = self.groups[index]
        file = self.files.file(where.uri)
        with reading(where.uri):
            table = file.read_row_group(where.group, columns=self.columns, use_threads=False)
        self.cache[index] = arrays(table)
        while len(self.cache) > self.kept:
            self.cache.popitem(last=False)
        return self.cache[index]


def row_groups_of(uris: Sequence[str], columns: list[str]) -> list[RowGroup]:
    """Lists the row groups of the files that have rows, from their footers.

    Raises `ShardError` for files of differing schemas, without one of `columns`, or without a row.
    """
    groups: list[RowGroup] = []
    first: pa.Schema | None = None
    for uri in uris:
        with open_shard(uri) as file:
            first = file.schema_arrow if first is None else first
            if not file.schema_arrow.equals(first):
                raise ShardError(
                    f"{uri}: its columns or image sizes differ from those of {uris[0]}; a dataset "
                    "comes from one run of preprocess"
                )
            missing = [column for column in columns if column not in first.names]
            if missing:
                raise ShardError(f"{uri}: has no column {', '.join(missing)}")
            groups += [
                RowGroup(uri, i, file.metadata.row_group(i).num_rows)
                for i in range(file.num_row_groups)
            ]
    if not sum(group.rows for group in groups):
        raise ShardError(
            f"no clips in {len(uris)} files: this split is empty; look at errors.parquet, add "
            "videos or change the seed of the split"
        )
    return [group for group in groups if group.rows]
