"""A Chrome trace of a few steps of a training (chrome://tracing, ui.perfetto.dev)."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from infra import storage

Item = TypeVar("Item")
FIRST = 3  # steps before it: the first ones set up what the others use


def traced(batches: Iterator[Item], steps: int, uri: str) -> Iterator[Item]:
    """The batches as they come; what happens from one to the next is a step.

    After a start of 3 steps `steps` of them are recorded and written to `uri`.
    """
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)

    def write(recorded: profile) -> None:
        with TemporaryDirectory() as folder:
            recorded.export_chrome_trace(f"{folder}/trace.json")
            storage.write_bytes(uri, Path(folder, "trace.json").read_bytes())

    plan = schedule(wait=FIRST - 1, warmup=1, active=steps, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as recorder:
        for _, batch in zip(range(FIRST + steps), batches, strict=False):
            yield batch
            recorder.step()
    yield from batches
