"""What P says of a clip while P does not learn: computed once, not at every step.

Recomputed at each step, P takes a third of a training step of f5warp and most of one of f25warp.

Suffixes: B batch, T frames, A = T-1 adjacent frames, h w low pixels, K = 64 control points.
"""

import torch
from torch import Tensor

from model.network import Network
from model.objectives.held import Held

LIMIT = 256 << 20  # bytes: 21,000 clips of 25 frames, 131,000 of 5


class HeldShifts(Held):
    """The shifts A×64×2, float32, of the clips seen so far; P must stay as it is until `clear`."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)

    @torch.compiler.disable
    @torch.no_grad()
    def of(self, network: Network, low: Tensor, order: Tensor | None) -> Tensor:
        """P's shifts B×A×64×2 of windows B×T×3×h×w in [0, 1], looked up by `order`, B.

        Without `order`, and where it is negative, they are computed. The arithmetic is float32,
        also inside autocast.
        """
        with torch.autocast(low.device.type, enabled=False):
            if order is None or bool((order < 0).all()):
                return network.predicted_shifts(low).float()
            rows = []
            for place, key in enumerate(order.tolist()):

                def compute(place: int = place) -> tuple[Tensor]:
                    return (network.predicted_shifts(low[place : place + 1])[0].float(),)

                rows.append(self.one(key, compute)[0])
            return torch.stack(rows)
