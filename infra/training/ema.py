"""Weights averaged over the steps, less noisy than the last ones: at update n = 1, 2, …

    a ← d·a + (1 − d)·w,    d = min(decay, (1 + n) / (10 + n)).

So the average forgets the weights from which training began within its first updates, however long
its memory is later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The running mean of a module's parameters in float32; call `update` after each step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.parameters = dict(module.named_parameters())
        self.decay = decay
        self.updates = 0
        self.values = {
            name: value.detach().float().clone() for name, value in self.parameters.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = [value.detach().float() for value in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), now, 1 - decay)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"updates": self.updates, "values": self.values}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.updates = state["updates"]
        for name, value in self.values.items():
            value.copy_(state["values"][name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average where the weights are, for a validation; they come back after it."""
        kept = {name: value.detach().clone() for name, value in self.parameters.items()}
        _copy(self.values, self.parameters)
        try:
            yield
        finally:
            _copy(kept, self.parameters)


def on_cpu(network: nn.Module, average: Average | None) -> dict[str, Tensor]:
    """A network's state in float32 on the CPU, with the average of its weights if there is one."""
    state = network.state_dict() | (average.values if average is not None else {})
    return {name: value.detach().float().cpu().clone() for name, value in state.items()}


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, nn.Parameter]) -> None:
    for name, value in target.items():
        value.copy_(source[name])
