import threading
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.shards.files import ShardError, write_clips
from datasets.shards.reader import ShardReader, list_shards
from datasets.shards.schema import schema
from tests.datasets.shards.test_files import clip

COLUMNS = ("high", "frame", "identity", "fps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 23 clips in row groups of 4; `frame` numbers the clips."""
    folder = tmp_path_factory.mktemp("shards")
    for name, numbers in {"0": range(11), "1": range(11, 17), "2": range(17, 23)}.items():
        write_clips(str(folder / f"{name}.parquet"), [clip(i) for i in numbers], 4)
    return folder


def reader(folder: Path, batch: int, seed: int | None = 7, **options: int) -> ShardReader:
    return ShardReader(list_shards(str(folder)), batch, seed, COLUMNS, prefetch=0, **options)


def frames(batches, count: int) -> list[int]:
    return [int(f) for batch in islice(batches, count) for f in batch["frame"]]


def test_a_batch_holds_the_rows_it_says(folder: Path) -> None:
    batch = next(reader(folder, 5).batches())
    assert batch["high"].shape == (5, 16, 16, 3)
    assert batch["high"].dtype == np.uint8
    assert batch["fps"].dtype == np.float64
    assert batch["identity"].tolist() == ["a"] * 5
    for frame, high in zip(batch["frame"], batch["high"], strict=True):
        np.testing.assert_array_equal(high, clip(int(frame)).high)


def test_every_epoch_has_every_row_once_in_another_order(folder: Path) -> None:
    rows = frames(reader(folder, 23).batches(), 3)
    epochs = [rows[:23], rows[23:46], rows[46:]]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != list(range(23))


def test_no_seed_keeps_the_order_of_the_shards(folder: Path) -> None:
    assert frames(reader(folder, 5, None).batches(), 6) == [*range(23), *range(7)]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.integers(1, 9), world=st.integers(1, 4), start=st.integers(0, 60))
def test_ranks_together_see_what_one_worker_sees(
    folder: Path, batch: int, world: int, start: int
) -> None:
    """Rank r's n-th batch is rows start + (n·world + r)·batch … of the one endless order."""
    whole = frames(reader(folder, 23).batches(), 8)[start : start + 3 * world * batch]
    alone = frames(reader(folder, batch * world).batches(start), 3)
    ranks = [
        reader(folder, batch, rank=rank, world_size=world).batches(start) for rank in range(world)
    ]
    together = [f for _ in range(3) for rank in ranks for f in frames(rank, 1)]
    assert whole == alone == together


def test_a_run_resumes_at_the_row_after_its_last(folder: Path) -> None:
    straight = frames(reader(folder, 4).batches(), 20)
    assert frames(reader(folder, 4).batches(7 * 4), 13) == straight[7 * 4 :]


def test_a_dataset_smaller_than_a_batch_goes_on_into_the_next_epoch(folder: Path) -> None:
    batch = next(reader(folder, 50).batches())
    assert sorted(batch["frame"][:23]) == list(range(23))
    assert batch["high"].shape[0] == 50


@pytest.mark.parametrize("world", [1, 2, 3])
def test_once_gives_every_row_once_over_all_ranks(folder: Path, world: int) -> None:
    readers = [reader(folder, 4, None, rank=rank, world_size=world) for rank in range(world)]
    rows = [int(f) for r in readers for batch in r.once() for f in batch["frame"]]
    assert rows == list(range(23))


def test_reading_ahead_gives_the_same_and_leaves_no_thread(folder: Path) -> None:
    before = set(threading.enumerate())
    ahead = ShardReader(list_shards(str(folder)), 4, 7, COLUMNS, prefetch=2).batches()
    assert frames(ahead, 9) == frames(reader(folder, 4).batches(), 9)
    assert len(set(threading.enumerate()) - before) == 1
    ahead.close()
    assert not set(threading.enumerate()) - before


def test_a_reader_never_started_has_no_thread(folder: Path) -> None:
    before = set(threading.enumerate())
    ShardReader(list_shards(str(folder)), 4, 7, COLUMNS).batches()
    assert not set(threading.enumerate()) - before


def test_a_shard_that_vanishes_is_named(folder: Path, tmp_path: Path) -> None:
    write_clips(str(tmp_path / "0.parquet"), [clip(i) for i in range(8)], 4)
    shards = ShardReader(list_shards(str(tmp_path)), 4, 0, COLUMNS)
    (tmp_path / "0.parquet").unlink()
    with pytest.raises(ShardError, match=r"0\.parquet"):
        next(shards.batches())


def test_only_the_row_groups_needed_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def counting(self: pq.ParquetFile, group: int, **options: object):
        read.append(group)
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counting)
    frames(reader(folder, 4, None, rank=1, world_size=2).batches(), 1)
    assert read == [1]


def test_nothing_to_read_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"holds no shard .* run the preprocess stage"):
        list_shards(str(tmp_path))
    with pytest.raises(ShardError, match="this split is empty"):
        ShardReader([], 4, 0)
    import pyarrow.parquet as pq

    pq.write_table(schema(16, 4, 5).empty_table(), tmp_path / "0.parquet")
    with pytest.raises(ShardError, match="this split is empty"):
        ShardReader(list_shards(str(tmp_path)), 4, 0)


def test_shards_of_two_sizes_and_unknown_columns_are_refused(tmp_path: Path) -> None:
    write_clips(str(tmp_path / "0.parquet"), [clip(0)])
    write_clips(str(tmp_path / "1.parquet"), [clip(0, size=8)])
    with pytest.raises(ShardError, match=r"1\.parquet: its columns or image sizes differ"):
        ShardReader(list_shards(str(tmp_path)), 1, 0)
    with pytest.raises(ShardError, match="has no column depth"):
        ShardReader([str(tmp_path / "0.parquet")], 1, 0, ["depth"])


def test_a_rank_outside_of_the_world_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="rank 2, world_size 2"):
        reader(folder, 4, rank=2, world_size=2)
    with pytest.raises(ValueError, match="start_row -1"):
        reader(folder, 4).batches(-1)


def test_balanced_epochs_hold_every_person_equally_often(tmp_path: Path) -> None:
    """12 clips of a, 3 of b, 1 of c: the mean is 16 / 3, so 5 of each come in an epoch of 15."""
    people = ["a"] * 7 + ["b"] + ["a"] * 5 + ["c"] + ["b"] * 2
    clips = [replace(clip(i), identity=person) for i, person in enumerate(people)]
    for name, part in {"0": clips[:9], "1": clips[9:]}.items():
        write_clips(str(tmp_path / f"{name}.parquet"), part, 4)
    balanced = reader(tmp_path, 15, balanced=True)
    assert balanced.rows == 15
    rows = frames(balanced.batches(), 4)
    seen = set()
    for epoch in (rows[first : first + 15] for first in range(0, 60, 15)):
        counts = Counter(people[frame] for frame in epoch)
        assert counts == {"a": 5, "b": 5, "c": 5}
        # b has three clips: each comes before any comes a third time.
        assert sorted(Counter(f for f in epoch if people[f] == "b").values()) == [1, 2, 2]
        assert len({f for f in epoch if people[f] == "a"}) == 5
        seen.update(f for f in epoch if people[f] == "a")
    assert len(seen) > 5  # other clips of a in other epochs
    assert frames(reader(tmp_path, 5, balanced=True).batches(20), 8) == rows[20:]


def test_what_a_killed_writer_left_is_no_shard(tmp_path: Path) -> None:
    for name in (".0123456789abcdef0123456789abcdef.tmp", ".tmp-a-0.parquet", "0.parquet"):
        (tmp_path / name).write_bytes(b"half a file")
    assert [uri.rsplit("/", 1)[-1] for uri in list_shards(str(tmp_path))] == ["0.parquet"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_give_the_order_of_one(folder: Path, threads: int) -> None:
    whole = frames(reader(folder, 4).batches(5), 12)
    several = ShardReader(list_shards(str(folder)), 4, 7, COLUMNS, prefetch=2, threads=threads)
    before = set(threading.enumerate())
    batches = several.batches(5)
    assert frames(batches, 12) == whole
    assert len(set(threading.enumerate()) - before) == threads
    batches.close()
    assert not set(threading.enumerate()) - before


def test_an_error_in_one_of_several_threads_is_raised(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = ShardReader(list_shards(str(folder)), 4, 7, COLUMNS, prefetch=2, threads=2)
    monkeypatch.setattr(several, "_read", lambda *_: (_ for _ in ()).throw(ShardError("gone")))
    with pytest.raises(ShardError, match="gone"):
        next(several.batches())


def test_a_shard_that_is_damaged_between_its_ends_is_named(tmp_path: Path) -> None:
    uri = tmp_path / "0.parquet"
    write_clips(str(uri), [clip(i) for i in range(8)], 4)
    content = uri.read_bytes()
    uri.write_bytes(content[:500] + bytes(len(content) // 2) + content[500 + len(content) // 2 :])
    shards = ShardReader(list_shards(str(tmp_path)), 4, 0, COLUMNS)
    with pytest.raises(ShardError, match=r"0\.parquet: not a readable Parquet file"):
        next(shards.batches())
