"""Memory that is filled again and again (model/cpu/convolution.py)."""

import math

import torch
from torch import Tensor


class Scratch:
    """Memory for intermediate values, by name, kept from call to call.

    Such a value is some megabytes, and to fill fresh pages takes longer than to compute it: 12 ms
    instead of 5 along x, of 64 channels on 128 × 128. A value holds until its name is asked for
    again, so nothing that a caller keeps may lie in here; nor may two threads share one.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Float32 memory of that shape, whatever is in it."""
        size = math.prod(shape)
        if name not in self.kept or len(self.kept[name]) < size:
            self.kept[name] = torch.empty(size)
        return self.kept[name][:size].view(shape)
