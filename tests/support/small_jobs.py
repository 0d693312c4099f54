"""A training of seconds for the tests of faults: f5warp of 16 pixels on random clips.

It lies in a module that Ray's workers can import, since what a test module itself defines is not
found there.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from datasets.clips.clip import Clip
from datasets.shards.files import write_clips
from infra.settings.optimiser import OptimiserSettings
from infra.training.loop import Plan
from model.network import Network, build
from model.objectives.curriculum import Curriculum
from model.objectives.restoration import Restoration
from tests.support.waiting import until
from workflows.training.job import Trainee, TrainingJob

STEPS, GLOBAL_BATCH, EVERY = 8, 4, 4
Fault = Callable[[int], None]


def write_shards(folder: Path) -> list[str]:
    """Two shards of eleven clips of noise: an epoch ends within the run, and within a batch."""
    drawn = np.random.default_rng(1)

    def clip(number: int) -> Clip:
        high = drawn.integers(0, 256, (16, 16, 3), np.uint8)
        return Clip(
            clip_id=f"v#0@{number}", identity="a", video="v", track=0, frame=number, fps=25.0,
            low=drawn.integers(0, 256, (5, 4, 4, 3), np.uint8), high=high, neighbour=high,
            neighbour_offset=1, boxes=np.zeros((5, 4), np.float32), order=number,
            motion=np.zeros((5, 64, 2), np.float16), sharpness=1.0, degradation="",
        )  # fmt: skip

    uris = [str(folder / f"{name}.parquet") for name in "ab"]
    for place, uri in enumerate(uris):
        write_clips(uri, [clip(11 * place + number) for number in range(11)])
    return uris


def work(
    folder: str | Path, shards: list[str], workers: int = 1, steps: int = STEPS,
    fault: Fault | None = None, **options: Any,
) -> TrainingJob:  # fmt: skip
    """The training below `folder` by that many workers, all together GLOBAL_BATCH clips a step."""
    settings = OptimiserSettings(
        steps=STEPS, batch_size=GLOBAL_BATCH // workers, workers=workers,
        **{"cpus_per_worker": 0.5, "max_failures": 1, **options},
    )  # fmt: skip
    plan = Plan(
        steps=steps, batch_size=settings.batch_size, learning_rate=1e-4, log_every=1,
        evaluate_every=EVERY, checkpoint_every=2, fingerprint="small",
    )  # fmt: skip
    return TrainingJob(
        name="small", folder=str(folder), shards=shards, options=settings, plan=plan, seed=5,
        build=partial(_build, fault),
    )  # fmt: skip


class Faulty(Restoration):
    """The objective of eq. (6) that calls its fault before each of its steps."""

    fault: Fault | None = None
    calls = 0

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.calls += 1
        if self.fault is not None:
            self.fault(self.calls)
        return super().forward(batch)


def _build(fault: Fault | None) -> Trainee:
    network = build("f5warp", scale=4, size=16, width=0.125)
    assert isinstance(network, Network)
    curriculum = Curriculum(warp_rate=0.5)  # two groups of parameters
    objective = Faulty(network, network.num_frames, curriculum=curriculum, look_up=False)
    objective.fault = fault
    scores = iter([30.0, 20.0, 20.0])  # the first validation is the best
    return Trainee(objective, network.description(), evaluate=lambda: {"psnr": next(scores)})


def kill_worker(folder: Path, kills: list[tuple[int, int]], call: int) -> None:
    """SIGKILL the n-th process that trains here at its call `kills[n][0]`.

    It waits for the checkpoint of step `kills[n][1]`, so that it is known what is resumed.
    """
    count = len(list(folder.glob("killed-*")))
    if count < len(kills) and call == kills[count][0]:
        wait_for(folder / f"checkpoints/step-{kills[count][1]:08d}/mark-0.json")
        (folder / f"killed-{count}").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def fill_disk(folder: Path, at: int, call: int) -> None:
    """Fill the disk of `folder` at a step, once the checkpoint of the step before is there."""
    filler = folder.parent / "filler"
    if call != at or filler.exists():
        return
    wait_for(folder / f"checkpoints/step-{at - 1:08d}/mark-0.json")
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(1 << 16))


def announce(sign: Path, answer: Path, at: int, call: int) -> None:
    """Leave a sign with this node's id at a step, and wait for the answer before it is made."""
    if call == at:
        unfinished = sign.with_suffix(".unfinished")
        unfinished.write_text(ray.get_runtime_context().get_node_id())
        unfinished.rename(sign)
        wait_for(answer)


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    until(path.exists, str(path))
