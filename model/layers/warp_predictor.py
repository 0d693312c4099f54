"""The warp predictor P (paper §3): how far each control point moves between two frames.

The two images of a pair go through their own three convolutions, so what they give for a frame can
be kept and used for every pair that holds the frame (`central_maps`, `adjacent_maps`, `shifts`).
Ours, where the paper is silent: zero padding in the convolutions; initial weights in which optical
flow is written over an orthogonal random start (model/layers/flow_init.py), since from a random
start alone thousands of steps pass before anything aligns; the last layer at zero, so that training
begins with the identity warp.

Suffixes: N pairs, h w low pixels, K = 64 control points.
"""

import torch
from torch import Tensor, nn

from infra.conventions import CONTROL_POINTS
from model.layers.flow_init import start_as_flow

BRANCH = 20
TRUNK = 100
HIDDEN = 256


class WarpPredictor(nn.Module):
    """P: two N×3×h×w low frames in [0, 1] → N×64×2 shifts (x, y), normalised coordinates."""

    def __init__(self, low_size: int) -> None:
        super().__init__()
        self.central = _branch()
        self.adjacent = _branch()
        self.trunk = _trunk()
        self.dense = nn.Sequential(
            nn.Linear(TRUNK * low_size * low_size, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
        )
        self.last = nn.Linear(HIDDEN, CONTROL_POINTS * 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _start(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        start_as_flow(self.central, self.adjacent, self.trunk, self.dense, low_size)
        nn.init.zeros_(self.last.weight)

    def forward(self, central: Tensor, adjacent: Tensor) -> Tensor:
        """Predict the N×64×2 shifts through which `adjacent` is read to look like `central`."""
        return self.shifts(self.central_maps(central), self.adjacent_maps(adjacent))

    def central_maps(self, frames: Tensor) -> Tensor:
        """N×3×h×w → N×20×h×w, the branch of the central image."""
        return self.central(_centred(frames, self.last.weight.dtype))

    def adjacent_maps(self, frames: Tensor) -> Tensor:
        """N×3×h×w → N×20×h×w, the branch of the adjacent image."""
        return self.adjacent(_centred(frames, self.last.weight.dtype))

    def shifts(self, central_maps: Tensor, adjacent_maps: Tensor) -> Tensor:
        """Two N×20×h×w → N×64×2."""
        pair = torch.cat((central_maps, adjacent_maps), dim=1)
        return self.last_layers(self.trunk(pair))

    def features(self, central_maps: Tensor, adjacent_maps: Tensor) -> Tensor:
        """Two N×20×h×w → N×256, what the last layer sees."""
        pair = torch.cat((central_maps, adjacent_maps), dim=1)
        return self.dense(self.trunk(pair).flatten(1))

    def last_layers(self, maps: Tensor) -> Tensor:
        """The fully connected end: N×100×h×w → N×64×2."""
        return self.last(self.dense(maps.flatten(1))).view(-1, CONTROL_POINTS, 2)


def _start(weight: Tensor) -> None:
    rows, columns = weight.flatten(1).shape
    # So wide a matrix has nearly orthogonal random rows, and its QR would take seconds.
    if columns > 10 * rows:
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
    else:
        nn.init.orthogonal_(weight, gain=nn.init.calculate_gain("relu"))


def _centred(frames: Tensor, dtype: torch.dtype) -> Tensor:
    # Around zero the first layers see contrast, not the common brightness of both images.
    return frames.to(dtype) * 2 - 1


def _branch() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, BRANCH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(BRANCH, BRANCH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(BRANCH, BRANCH, 1),
        nn.ReLU(),
    )


def _trunk() -> nn.Sequential:
    layers: list[nn.Module] = []
    for entering in (2 * BRANCH, TRUNK, TRUNK, TRUNK, TRUNK):
        layers += [nn.Conv2d(entering, TRUNK, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)
