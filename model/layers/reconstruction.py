"""The reconstruction network R (paper §3, after Tuzel et al. 2016): the stack becomes a face.

Eight convolutions with reflection padding and ReLU, a sigmoid at the end. `width` multiplies the
filters, but the first layer and the last two keep at least the paper's: what leaves the stack with
four filters, of which three hold the central frame, has no room for other frames. How R starts is
in model/layers/reconstruction_start.py.

Suffixes: B batch, C = T·D stacked channels, S high pixels.
"""

import torch
from torch import Tensor, nn

from model.layers.linear import LinearRestoration
from model.layers.reconstruction_start import (
    start_as_kaiming,
    start_as_linear,
    start_as_passthrough,
)

FILTERS = (16, 32, 64, 64, 64, 32, 16, 3)
LEAST = (16, 9, 9, 9, 9, 4, 16, 3)  # at any width: what the start `linear` needs, and the ends
KERNELS = (5, 7, 7, 7, 7, 7, 5, 5)
STARTS = ("passthrough", "kaiming")


class Reconstruction(nn.Module):
    """R: B×C×S×S stacked features → B×3×S×S in [0, 1]; `central` is the first central channel."""

    def __init__(
        self, channels: int, central: int, width: float = 1.0, start: str = "passthrough"
    ) -> None:
        super().__init__()
        if start not in STARTS:
            raise ValueError(f"start: expected one of {', '.join(STARTS)}, got {start!r}")
        widths = [
            max(least, round(width * filters))
            for filters, least in zip(FILTERS[:-1], LEAST[:-1], strict=True)
        ]
        entering = [channels, *widths]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="reflect")
            for before, after, kernel in zip(entering, [*widths, FILTERS[-1]], KERNELS, strict=True)
        )
        start_as_kaiming(self._convolutions())
        if start == "passthrough":
            start_as_passthrough(self._convolutions(), central)

    def start_as(self, filters: LinearRestoration, depth: int) -> None:
        """Begin as a fitted linear restoration of as many frames, each of `depth` maps."""
        start_as_kaiming(self._convolutions())
        start_as_linear(self._convolutions(), filters, depth)

    def forward(self, stack: Tensor) -> Tensor:
        """B×C×S×S → B×3×S×S in [0, 1]."""
        for layer in self.layers[:-1]:
            stack = torch.relu(layer(stack))
        return torch.sigmoid(self.layers[-1](stack))

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
