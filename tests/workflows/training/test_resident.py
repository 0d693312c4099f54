"""Clips kept in a GPU's memory come as those that are read from shards."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.shards.files import write_clips
from datasets.shards.reader import ShardReader, list_shards
from infra.training.optimiser_step import on_device
from tests.datasets.shards.test_files import clip
from workflows.training import resident

COLUMNS = ["low", "high", "motion", "order", "identity"]
CPU = torch.device("cpu")


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    for number, rows in enumerate((7, 6)):
        clips = [clip(10 * number + row) for row in range(rows)]
        write_clips(str(tmp_path / f"{number}.parquet"), clips)
    return list_shards(str(tmp_path))


@pytest.mark.parametrize(("rank", "balanced"), [(0, False), (1, False), (1, True)])
def test_the_batches_are_those_of_the_reader(shards: list[str], rank: int, balanced: bool) -> None:
    reader = ShardReader(shards, 4, 3, COLUMNS, rank, world_size=2, balanced=balanced)
    kept = resident.load(shards, COLUMNS, CPU)
    assert set(kept.host) == {"identity", "known", "order"}
    stream = reader.batches(5)
    for read, held in islice(zip(stream, kept.batches(reader, 5), strict=False), 6):
        assert {*read, "known"} == set(held)
        for name, value in resident.with_known(read).items():
            assert np.array_equal(np.asarray(held[name]), value, equal_nan=name == "motion"), name
    stream.close()


def test_the_loop_leaves_tensors_where_they_are(shards: list[str]) -> None:
    reader = ShardReader(shards, 4, 3, ["low", "order"])
    batch = next(resident.load(shards, ["low", "order"], CPU).batches(reader, 0))
    taken = on_device(batch, CPU)
    assert taken["low"] is batch["low"]
    assert taken["order"].tolist() == batch["order"].tolist()


def test_known_is_told_of_each_frame() -> None:
    motion = np.zeros((2, 3, 64, 2), np.float16)
    motion[1, 2, 5, 0] = np.nan
    assert resident.with_known({"motion": motion})["known"].tolist() == [
        [True] * 3,
        [True, True, False],
    ]


def test_only_what_fits_a_quarter_of_the_free_memory_is_kept(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not resident.fits(shards, ["low", "high"], CPU)
    one = clip(0)
    needed = 13 * (one.low.nbytes + one.high.nbytes)
    for free, expected in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert resident.fits(shards, ["low", "high"], torch.device("cuda")) is expected
