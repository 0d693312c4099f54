"""Makes shards of parts: the second of the two phases in which preprocessing writes.

Each film gives one part, in the order of its frames, in small row groups; stills share them. When
all parts are there, `plan_shards` deals their rows, sorted by `order` (a hash: this is the one
shuffle), to shards, and `assemble_shard` writes one of them. Both are functions of their arguments
alone, so that a rerun gives the same files.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from datasets.clips.clip import ClipId
from datasets.shards.files import OpenShards, ShardError, open_shard, reading, write_tables
from datasets.shards.tensors import byte_width, pack, unpack

SHARD_ROWS = 16  # rows of a row group: what one read of the loader gives


@dataclass(frozen=True)
class PlannedRow:
    """One row of a part: where it is, what decides where it goes, and whose face it shows."""

    order: int
    clip_id: str
    identity: str
    part: str
    row: int
    split: str
    bytes: int


@dataclass(frozen=True)
class ShardPlan:
    """The rows of shard `number` of `split`, in their order."""

    split: str
    number: int
    rows: tuple[PlannedRow, ...]

    @property
    def name(self) -> str:
        """The shard's path under the folder of clips."""
        return f"{self.split}/{self.number:05d}.parquet"


def part_rows(part: str, place: Callable[[ClipId], tuple[str, str] | None]) -> list[PlannedRow]:
    """Lists the rows of a part for the plan, without reading an image. `place` gives the split and
    the identity of a clip, None where it is left out."""
    with open_shard(part) as file, reading(part):
        images = sum(byte_width(column.type) for column in file.schema_arrow)
        table = file.read(columns=["clip_id", "order"], use_threads=False)
    rows = []
    for index, (clip_id, order) in enumerate(zip(*table.to_pydict().values(), strict=True)):
        if (placed := place(ClipId.parse(clip_id))) is not None:
            split, identity = placed
            rows.append(PlannedRow(order, clip_id, identity, part, index, split, images))
    return rows


def plan_shards(rows: Iterable[PlannedRow], shard_bytes: int) -> list[ShardPlan]:
    """Deals rows to shards of at most `shard_bytes` of pixels, evenly, by split and order.

    The same rows in any order give the same plan. Raises `ShardError` where a clip id comes twice.
    """
    by_split: dict[str, list[PlannedRow]] = defaultdict(list)
    for row in rows:
        by_split[row.split].append(row)
    plans: list[ShardPlan] = []
    for split, members in sorted(by_split.items()):
        members.sort(key=lambda row: (row.order, row.clip_id))
        for row, following in pairwise(members):
            if row.clip_id == following.clip_id:
                raise ShardError(
                    f"clip {row.clip_id} is both in {row.part} and in {following.part}; remove "
                    "the parts of the older run"
                )
        count = -(-sum(row.bytes for row in members) // shard_bytes)
        limits = [len(members) * i // count for i in range(count + 1)]
        plans += [
            ShardPlan(split, i, tuple(members[limits[i] : limits[i + 1]])) for i in range(count)
        ]
    return plans


def assemble_shard(plan: ShardPlan, uri: str, row_group_size: int = SHARD_ROWS) -> int:
    """Writes the shard of `plan` to `uri` from its parts, atomically, and gives its rows.

    Holds one row group in memory. Raises `ShardError` where a part is not what it was planned by.
    """
    groups = (
        plan.rows[begin : begin + row_group_size]
        for begin in range(0, len(plan.rows), row_group_size)
    )
    with OpenParts(kept=256) as parts:
        return write_tables(uri, (_gather(rows, parts) for rows in groups), row_group_size)


class OpenParts(OpenShards):
    """Parts, and shards of before, whose rows are dealt anew like those of parts."""

    def __init__(self, kept: int) -> None:
        super().__init__(kept)
        self.groups: dict[str, tuple[int, pa.Table]] = {}

    def group_of_shard(self, uri: str, number: int) -> pa.Table:
        """Gives a row group of a shard, packed as those of parts; the last one of each is kept,
        since its rows are wanted one after another: both are sorted by `order`."""
        if uri not in self.groups or self.groups[uri][0] != number:
            self.groups[uri] = (
                number,
                pack(self.file(uri).read_row_group(number, use_threads=False)),
            )
        return self.groups[uri][1]


def _gather(rows: Sequence[PlannedRow], parts: OpenParts) -> pa.Table:
    table = unpack(pa.concat_tables(_row(planned, parts) for planned in rows))
    if table["clip_id"].to_pylist() != [planned.clip_id for planned in rows]:
        raise ShardError(
            f"{rows[0].part}: this part, or one beside it, has changed since the shards were "
            "planned; run preprocess again"
        )
    column = table.schema.get_field_index("identity")
    people = pa.array([planned.identity for planned in rows], pa.string())
    return table.set_column(column, table.schema.field(column), people)


def _row(planned: PlannedRow, parts: OpenParts) -> pa.Table:
    """One row of a part, or an empty table where there is none."""
    file = parts.file(planned.part)
    # All row groups of a part but its last have the length of the first.
    group, row = divmod(planned.row, file.metadata.row_group(0).num_rows)
    if group >= file.num_row_groups:
        return pack(file.schema_arrow.empty_table())
    with reading(planned.part):
        if any(isinstance(column, pa.FixedShapeTensorType) for column in file.schema_arrow.types):
            return parts.group_of_shard(planned.part, group).slice(row, 1)
        return file.read_row_group(group, use_threads=False).slice(row, 1)
