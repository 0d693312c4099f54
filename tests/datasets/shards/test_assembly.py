from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.clips.clip import ClipId
from datasets.shards.assembly import PlannedRow, assemble_shard, part_rows, plan_shards
from datasets.shards.files import ShardError, read_rows, write_clips
from tests.datasets.shards.test_files import clip, same

MANY = 2**27  # bytes: one shard


def parts(folder: Path, counts: dict[str, int]) -> list[str]:
    for name, count in counts.items():
        write_clips(str(folder / f"{name}.parquet"), [clip(i, f"{name}/v") for i in range(count)])
    return [str(folder / f"{name}.parquet") for name in counts]


def split(clip: ClipId) -> tuple[str, str]:
    person = clip.video.split("/")[0]
    return "test" if person == "c" else "train", person


def test_parts_become_shards_sorted_by_order_with_no_clip_lost_or_doubled(tmp_path: Path) -> None:
    paths = parts(tmp_path, {"a": 13, "b": 6, "c": 5})
    rows = [row for path in paths for row in part_rows(path, split)]
    a_clip = 5 * 4 * 4 * 3 + 2 * 16 * 16 * 3 + 5 * 4 * 4 + 5 * 64 * 2 * 2
    plans = plan_shards(rows, shard_bytes=8 * a_clip)
    assert [(plan.name, len(plan.rows)) for plan in plans] == [
        ("test/00000.parquet", 5),
        ("train/00000.parquet", 6),
        ("train/00001.parquet", 6),
        ("train/00002.parquet", 7),
    ]
    tables = []
    for plan in plans:
        assert assemble_shard(plan, str(tmp_path / plan.name), 4) == len(plan.rows)
        tables.append(read_rows(str(tmp_path / plan.name)))
    train = pa.concat_tables(tables[1:])
    assert train["order"].to_pylist() == sorted(train["order"].to_pylist())
    everything = pa.concat_tables(tables)
    originals = [clip(i, f"{n}/v") for n, c in {"a": 13, "b": 6, "c": 5}.items() for i in range(c)]
    assert sorted(everything["clip_id"].to_pylist()) == sorted(c.clip_id for c in originals)
    found = {name: i for i, name in enumerate(everything["clip_id"].to_pylist())}
    rows_out = everything.drop_columns(["low", "high", "neighbour", "boxes", "motion"]).to_pylist()
    for original in originals:
        index = found[original.clip_id]
        assert same(original, rows_out[index], everything, index)


def test_a_shard_is_assembled_with_few_row_groups_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clip(i, "a/v", size=64) for i in range(96)]
    write_clips(str(tmp_path / "a.parquet"), clips)
    (plan,) = plan_shards(part_rows(str(tmp_path / "a.parquet"), split), MANY)
    del clips
    held: list[int] = []
    before, write = pa.total_allocated_bytes(), pq.ParquetWriter.write_table

    def watching(self: pq.ParquetWriter, table: pa.Table, rows: int) -> None:
        held.append(pa.total_allocated_bytes() - before)
        write(self, table, rows)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", watching)
    assert assemble_shard(plan, str(tmp_path / "out.parquet"), 4) == 96
    assert len(held) == 24
    # A row group of four is 0.1 MB, read out of parts' groups of four: 0.4 MB; all are 2.4 MB.
    assert max(held) < 800_000


def test_a_plan_and_its_shards_are_the_same_each_time(tmp_path: Path) -> None:
    paths = parts(tmp_path, {"a": 9, "b": 4})
    rows = [row for path in paths for row in part_rows(path, split)]
    plan = plan_shards(rows, MANY)
    assert plan == plan_shards(reversed(rows), MANY)
    contents = []
    for name in ("one", "two"):
        assemble_shard(plan[0], str(tmp_path / name))
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_a_clip_in_two_parts_is_refused() -> None:
    rows = [PlannedRow(5, "v#0@12", "v", part, 0, "train", 10) for part in ("p", "q")]
    with pytest.raises(ShardError, match=r"v#0@12 is both in p and in q"):
        plan_shards(rows, MANY)


def test_a_part_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    (path,) = parts(tmp_path, {"a": 5})
    (plan,) = plan_shards(part_rows(path, split), MANY)
    write_clips(path, [clip(i, "z/v") for i in range(5)])
    with pytest.raises(ShardError, match=r"a\.parquet: .* has changed since"):
        assemble_shard(plan, str(tmp_path / "out.parquet"))
    write_clips(path, [clip(0)])
    with pytest.raises(ShardError, match=r"a\.parquet: .* has changed since"):
        assemble_shard(plan, str(tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()


def test_a_part_that_is_damaged_is_named(tmp_path: Path) -> None:
    (path,) = parts(tmp_path, {"a": 5})
    (plan,) = plan_shards(part_rows(path, split), MANY)
    content = Path(path).read_bytes()
    half = len(content) // 2
    Path(path).write_bytes(content[:9] + bytes(half) + content[9 + half :])
    with pytest.raises(ShardError, match=r"a\.parquet: not a readable Parquet file"):
        assemble_shard(plan, str(tmp_path / "out.parquet"))
    with pytest.raises(ShardError, match=r"a\.parquet: not a readable Parquet file"):
        part_rows(path, split)


def test_no_rows_make_no_shard() -> None:
    assert plan_shards([], MANY) == []
