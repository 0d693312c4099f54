"""What feeds the loop; clips kept in a GPU's memory come as those that are read from shards."""

import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.shards.files import write_clips
from datasets.shards.reader import ShardReader, list_shards
from infra.training.engine import Objective
from infra.training.optimiser_step import on_device
from tests.datasets.shards.test_files import clip
from tests.support.small_jobs import work, write_shards
from workflows.training import batches
from workflows.training.batches import batches_of
from workflows.training.job import Trainee

COLUMNS = ["low", "high", "motion", "order", "identity"]
CPU = torch.device("cpu")


def test_batches_for_a_gpu_are_those_for_a_cpu_pinned_by_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the row asked for, however many are ready before they are seen."""
    pinning = []

    def pin(tensor: Tensor) -> Tensor:  # a CPU has no such memory
        pinning.append(threading.current_thread())
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(batches, "fits", lambda *_: False)
    todo = work(tmp_path, write_shards(tmp_path))
    objective = Objective()
    objective.columns = ["low", "high", "identity"]
    trainee = Trainee(objective, {}, labels={"a": 3})
    found = []
    for device in ("cpu", "cuda"):
        stream = batches_of(todo, trainee, torch.device(device))(8)
        found.append(list(islice(stream, 3)))
        assert device == "cuda" or not pinning
        del stream
    assert threading.current_thread() not in pinning
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys() == {"low", "high", "label"}
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_that_is_busy_is_given_the_right_batches() -> None:
    device = torch.device("cuda", 0)
    busy = torch.rand(2048, 2048, device=device)
    sums = []
    for number in range(50):
        batch = on_device({"x": np.full((512, 1024), number, np.float32)}, device)
        busy = (busy @ busy).div_(1024)
        sums.append(batch["x"].mean())
        del batch
    assert torch.stack(sums).tolist() == list(range(50))


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    for number, rows in enumerate((7, 6)):
        clips = [clip(10 * number + row) for row in range(rows)]
        write_clips(str(tmp_path / f"{number}.parquet"), clips)
    return list_shards(str(tmp_path))


@pytest.mark.parametrize(("rank", "balanced"), [(0, False), (1, False), (1, True)])
def test_the_batches_are_those_of_the_reader(shards: list[str], rank: int, balanced: bool) -> None:
    reader = ShardReader(shards, 4, 3, COLUMNS, rank, world_size=2, balanced=balanced)
    kept = batches.resident(shards, COLUMNS, CPU)
    assert set(kept.host) == {"identity", "known", "order"}
    stream = reader.batches(5)
    for read, held in islice(zip(stream, kept.batches(reader, 5), strict=False), 6):
        assert {*read, "known"} == set(held)
        for name, value in batches.with_known(read).items():
            assert np.array_equal(np.asarray(held[name]), value, equal_nan=name == "motion"), name
    stream.close()


def test_the_loop_leaves_tensors_where_they_are(shards: list[str]) -> None:
    reader = ShardReader(shards, 4, 3, ["low", "order"])
    batch = next(batches.resident(shards, ["low", "order"], CPU).batches(reader, 0))
    taken = on_device(batch, CPU)
    assert taken["low"] is batch["low"]
    assert taken["order"].tolist() == batch["order"].tolist()


def test_known_is_told_of_each_frame() -> None:
    motion = np.zeros((2, 3, 64, 2), np.float16)
    motion[1, 2, 5, 0] = np.nan
    assert batches.with_known({"motion": motion})["known"].tolist() == [
        [True] * 3,
        [True, True, False],
    ]


def test_only_what_fits_a_quarter_of_the_free_memory_is_kept(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not batches.fits(shards, ["low", "high"], CPU)
    one = clip(0)
    needed = 13 * (one.low.nbytes + one.high.nbytes)
    for free, expected in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert batches.fits(shards, ["low", "high"], torch.device("cuda")) is expected
