"""Weights averaged over the steps, a ← decay·a + (1 − decay)·w: less noisy than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The running mean of a module's parameters in float32; call `update` after each step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.parameters = dict(module.named_parameters())
        self.decay = decay
        self.values = {
            name: value.detach().float().clone() for name, value in self.parameters.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights as they are now."""
        now = [value.detach().float() for value in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), now, 1 - self.decay)

    @torch.no_grad()
    def load(self, values: dict[str, Tensor]) -> None:
        """Take up the average of a checkpoint."""
        for name, value in self.values.items():
            value.copy_(values[name])

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
