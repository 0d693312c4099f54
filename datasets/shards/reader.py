"""Reads batches of clips from shards for one training worker, in NumPy, from any row on.

The order of an epoch is a permutation of all row groups, with the rows permuted inside each, both
from (seed, epoch). Epochs follow one another without a gap, so rows are numbered 0, 1, … for ever.
A step takes the next world_size·batch_size of them and rank r the r-th part: two workers with
batch b see exactly what one with 2b sees, and a run resumes at the row after its last.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from datasets.shards.files import ShardError, read_rows
from datasets.shards.prefetch import in_turn, read_ahead
from datasets.shards.row_groups import Batch, Groups, row_groups_of
from infra import storage

TRAINING_COLUMNS = ("low", "high", "neighbour", "neighbour_offset", "identity")
CACHED_GROUPS, PREFETCHED_BATCHES = 8, 3


@dataclass(frozen=True)
class Epoch:
    """The order of one epoch: row groups `groups` (indices), the row at which each ends, and of
    each group, by its index, the rows that are read."""

    number: int
    groups: NDArray[np.int64]
    ends: NDArray[np.int64]
    inside: list[NDArray[np.int64]]


def list_shards(folder: str) -> list[str]:
    """Lists the Parquet files directly in a folder or `s3://` prefix, sorted by name.

    Raises `ShardError` where there are none.
    """
    filesystem, path = storage.file_system(folder)
    names = filesystem.ls(path, detail=False) if filesystem.isdir(path) else []
    names = sorted(
        name for name in names
        if name.endswith(".parquet") and not name.rsplit("/", 1)[-1].startswith(".")
    )  # fmt: skip
    if not names:
        raise ShardError(f"{folder}: holds no shard (*.parquet); run the preprocess stage first")
    return [filesystem.unstrip_protocol(name) for name in names]


class ShardReader:
    """The rows of `uris` as batches of `batch_size` for worker `rank` of `world_size`.

    `columns` are those to read; `seed` decides the order, or None keeps that of the shards.
    `prefetch` batches are read ahead by a thread (0: none, the caller's own thread reads).
    With `balanced`, every identity comes equally often: in an epoch the mean number of clips is
    drawn of each, anew in each epoch, so that one with many clips gives others in the next.
    `threads` read ahead side by side, each every so many batches; the order is that of one.
    Raises `ShardError` for no files, files without a row, or files of differing schemas, and
    `ValueError` for a rank outside of the world.
    """

    def __init__(
        self,
        uris: Sequence[str],
        batch_size: int,
        seed: int | None,
        columns: Sequence[str] = TRAINING_COLUMNS,
        rank: int = 0,
        world_size: int = 1,
        prefetch: int = PREFETCHED_BATCHES,
        cached_groups: int = CACHED_GROUPS,
        balanced: bool = False,
        threads: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"batch_size {batch_size}, rank {rank}, world_size {world_size}: need "
                "batch_size >= 1 and 0 <= rank < world_size"
            )
        self.batch_size, self.seed, self.columns = batch_size, seed, list(columns)
        self.rank, self.world_size = rank, world_size
        self.prefetch, self.threads = prefetch, threads
        self.cached_groups = cached_groups
        self.groups = row_groups_of(uris, self.columns)
        sizes = np.array([group.rows for group in self.groups], np.int64)
        self.starts = np.cumsum(sizes) - sizes
        self.every_row = [np.arange(size) for size in sizes]
        self.people = _rows_of_people(uris) if balanced else None

    @cached_property
    def rows(self) -> int:
        """The number of rows of an epoch."""
        return sum(map(len, self._epoch(0).inside))

    def batches(self, start_row: int = 0) -> Generator[Batch]:
        """Yields without end this rank's part of each global batch from global row `start_row` on.

        Images come as B×…×3 uint8, numbers as B of their own type, text as B objects. After n
        steps the next row is start_row + n·world_size·batch_size. Close the generator, or let it
        go, to stop its thread.
        """
        if start_row < 0:
            raise ValueError(f"start_row {start_row}: must not be negative")
        if not self.prefetch:
            return self._read(start_row)
        step = self.world_size * self.batch_size
        return in_turn(
            [
                read_ahead(partial(self._read, start_row + number * step, self.threads), each)
                for number, each in enumerate([self.prefetch] * self.threads)
            ]
        )

    def once(self) -> Iterator[Batch]:
        """Yields this rank's rows of one epoch in order, each once; the last batch may be short."""
        epoch = self._epoch(0)
        mine = np.array_split(np.arange(self.rows), self.world_size)[self.rank]
        with Groups(self.groups, self.columns, self.cached_groups) as groups:
            for begin in range(0, len(mine), self.batch_size):
                rows = mine[begin : begin + self.batch_size]
                yield groups.gather([self._locate(epoch, int(row)) for row in rows])

    def numbers(self, start_row: int = 0) -> Iterator[NDArray[np.int64]]:
        """Yields without end which rows the batches from `start_row` on are made of, by their
        number through all files: what `batches` reads, for one who has the rows already."""
        for places in self._places(start_row):
            yield np.array([self.starts[group] + row for group, row in places], np.int64)

    def _read(self, start_row: int, every: int = 1) -> Generator[Batch]:
        """Reads every so many of this rank's batches."""
        with Groups(self.groups, self.columns, self.cached_groups) as groups:
            for places in self._places(start_row, every):
                yield groups.gather(places)

    def _places(self, start_row: int, every: int = 1) -> Iterator[list[tuple[int, int]]]:
        """Row group and row in it of every so many of this rank's batches."""
        row = start_row + self.rank * self.batch_size
        epoch = self._epoch(row // self.rows)
        while True:
            places = []
            for number in range(row, row + self.batch_size):
                if number // self.rows != epoch.number:
                    epoch = self._epoch(number // self.rows)
                places.append(self._locate(epoch, number % self.rows))
            yield places
            row += every * self.world_size * self.batch_size

    def _epoch(self, number: int) -> Epoch:
        order = np.arange(len(self.groups))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        inside = self.every_row
        if self.people is not None:
            rows = _balanced(self.people, np.random.default_rng([self.seed or 0, number, 1]))
            inside = [
                part - start
                for part, start in zip(
                    np.split(rows, np.searchsorted(rows, self.starts[1:])), self.starts, strict=True
                )
            ]
        sizes = np.array([len(rows) for rows in inside])
        return Epoch(number, order, np.cumsum(sizes[order]), inside)

    def _locate(self, epoch: Epoch, row: int) -> tuple[int, int]:
        """Gives the row group, and the row in it, of row `row` of an epoch."""
        at = bisect_right(epoch.ends, row)
        group = int(epoch.groups[at])
        rows = epoch.inside[group]
        place = row - int(epoch.ends[at] - len(rows))
        if self.seed is None:
            return group, int(rows[place])
        return group, int(rows[_order_in(group, len(rows), self.seed, epoch.number)[place]])


@lru_cache(maxsize=64)
def _order_in(group: int, rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of the rows inside a row group in an epoch; the next rows ask for it again."""
    return np.random.default_rng([seed, epoch, group]).permutation(rows)


def _rows_of_people(uris: Sequence[str]) -> list[NDArray[np.int64]]:
    """Lists for each identity its rows, counted through all files."""
    names = np.concatenate([read_rows(uri, ["identity"])["identity"].to_numpy() for uri in uris])
    _, label = np.unique(names.astype(str), return_inverse=True)
    return [np.flatnonzero(label == person) for person in range(label.max() + 1)]


def _balanced(people: list[NDArray[np.int64]], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draws the mean number of rows of each person, sorted; none twice before all came once."""
    each = max(1, round(sum(map(len, people)) / len(people)))
    drawn = []
    for rows in people:
        turns = [generator.permutation(rows) for _ in range(-(-each // len(rows)))]
        drawn.append(np.concatenate(turns)[:each])
    return np.sort(np.concatenate(drawn))
