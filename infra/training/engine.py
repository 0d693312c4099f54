"""What is trained, and what makes one optimiser step of it.

The loop knows only what `Engine` and `Objective` list; an engine knows nothing of data, Ray or
stages. Both engines (torch_engine.py, deepspeed_engine.py) work on a batch in `accumulate` parts,
clip the gradient's norm, and leave an update out where loss or gradient is not finite.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]
Terms = dict[str, Tensor]


class Objective(nn.Module):
    """A module whose `forward(batch)` gives scalars, of which only "loss" carries a gradient.

    A class and no protocol: an engine moves, compiles and saves it as a module.
    """

    network: nn.Module  # what is trained, and whose weights are the result
    columns: Sequence[str] = ()  # of the clips, of which a batch is made
    rates: Mapping[str, float] = {}  # submodules' present learning rates in that of the rest

    def at(self, step: int, steps: int) -> None:
        """Be ready for 1-based `step` of `steps`; for an objective that changes on the way."""


class Engine(Protocol):
    """One optimiser step, and its state on disk."""

    rank: int
    world_size: int
    device: torch.device
    objective: Objective

    def step(self, batch: Batch, learning_rate: float) -> Terms:
        """Forward, backward and update; the objective's scalars, and `finite`: it was updated."""

    def agree(self, number: float) -> float:
        """The largest that any rank says; every rank must call it, and waits for the others."""

    def mean_of_ranks(self, scalars: dict[str, float]) -> dict[str, float]:
        """Each scalar's mean over the ranks, of which each has its own part of the batch; "step" is
        theirs all. Every rank must call it."""

    def result(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that `network_state` gives."""

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write this rank's share of the weights, the optimiser and `state`."""

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up what `save` wrote; raises TrainingError where it does not fit."""

    def network_state(self) -> dict[str, Tensor]:
        """The whole trained (or averaged) weights on the CPU; every rank must call it."""


def given_a_gpu(gpus_per_worker: float) -> bool:
    """Whether the settings give a worker a GPU: one that is there may be another program's."""
    return gpus_per_worker > 0 and torch.cuda.is_available()
