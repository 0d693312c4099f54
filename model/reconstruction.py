"""The reconstruction network R (paper §3, after Tuzel et al. 2016): the stack becomes a face.

Eight convolutions with reflection padding and ReLU, a sigmoid at the end. `width` multiplies the
filters of all but the last. The start `passthrough` is ours and changes no architecture: three
channels carry the upsampled central frame from end to end (a centre tap of 1 in every layer, 4 and
bias -2 before the sigmoid, whose slope is then 1 at mid-grey), so that training begins near the
upsampled image and not at grey noise. `kaiming` is the plain He start.

Suffixes: B batch, C = T·D stacked channels, S high pixels.
"""

import torch
from torch import Tensor, nn

FILTERS = (16, 32, 64, 64, 64, 32, 16, 3)
KERNELS = (5, 7, 7, 7, 7, 7, 5, 5)
STARTS = ("passthrough", "kaiming")
COLOURS = 3


class Reconstruction(nn.Module):
    """R: B×C×S×S stacked features → B×3×S×S in [0, 1]; `central` is the first central channel."""

    def __init__(
        self, channels: int, central: int, width: float = 1.0, start: str = "passthrough"
    ) -> None:
        super().__init__()
        if start not in STARTS:
            raise ValueError(f"start: expected one of {', '.join(STARTS)}, got {start!r}")
        widths = [max(COLOURS + 1, round(width * filters)) for filters in FILTERS[:-1]] + [COLOURS]
        entering = [channels, *widths[:-1]]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="reflect")
            for before, after, kernel in zip(entering, widths, KERNELS, strict=True)
        )
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if start == "passthrough":
            _pass_through(self.layers, central)

    def forward(self, stack: Tensor) -> Tensor:
        """B×C×S×S → B×3×S×S in [0, 1]."""
        for layer in self.layers[:-1]:
            stack = torch.relu(layer(stack))
        return torch.sigmoid(self.layers[-1](stack))


@torch.no_grad()
def _pass_through(layers: nn.ModuleList, central: int) -> None:
    source = central
    for layer in layers:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        middle = layer.kernel_size[0] // 2
        tap = 4.0 if layer is layers[-1] else 1.0
        layer.weight[:COLOURS] = 0
        for colour in range(COLOURS):
            layer.weight[colour, source + colour, middle, middle] = tap
        source = 0
    last = layers[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.bias.fill_(-2.0)
