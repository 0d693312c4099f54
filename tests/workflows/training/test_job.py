"""What feeds the loop."""

import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from infra.training.engine import Objective
from infra.training.optimiser_step import on_device
from tests.support.small_jobs import work, write_shards
from workflows.training import resident
from workflows.training.job import Job, batches_of


def test_batches_for_a_gpu_are_those_for_a_cpu_pinned_by_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the row asked for, however many are ready before they are seen."""
    pinning = []

    def pin(tensor: Tensor) -> Tensor:  # a CPU has no such memory
        pinning.append(threading.current_thread())
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(resident, "fits", lambda *_: False)
    todo = work(tmp_path, write_shards(tmp_path))
    objective = Objective()
    objective.columns = ["low", "high", "identity"]
    job = Job(objective, {}, labels={"a": 3})
    found = []
    for device in ("cpu", "cuda"):
        stream = batches_of(todo, job, torch.device(device))(8)
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
