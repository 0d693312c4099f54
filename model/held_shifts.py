"""What P says of a clip while P does not learn: computed once, not at every step.

Recomputed at each step, P takes a third of a training step of f5warp and most of one of f25warp.
A clip is known by its `order`, a hash that no two clips of a data set share.

Suffixes: B batch, T frames, A = T-1 adjacent frames, h w low pixels, K = 64 control points.
"""

import torch
from torch import Tensor

from model.network import Network

LIMIT = 256 << 20  # bytes: 21,000 clips of 25 frames, 131,000 of 5


class HeldShifts:
    """The shifts A×64×2, float32, of the clips seen so far, on the device where P is.

    Those of more clips than `limit` bytes have room for are computed each time. What is kept stays:
    each epoch sees every clip once, so the one used least recently is the one needed soonest.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.kept: dict[int, Tensor] = {}
        self.bytes = 0

    @torch.compiler.disable
    @torch.no_grad()
    def of(self, network: Network, low: Tensor, order: Tensor | None) -> Tensor:
        """P's shifts B×A×64×2 of windows B×T×3×h×w in [0, 1], looked up by `order`, B.

        Without `order`, and where it is negative, they are computed. P must stay as it is until
        `clear`. The arithmetic is float32, also inside autocast.
        """
        with torch.autocast(low.device.type, enabled=False):
            if order is None or bool((order < 0).all()):
                return network.predicted_shifts(low).float()
            return torch.stack(
                [self._one(network, low[i], key) for i, key in enumerate(order.tolist())]
            )

    def clear(self) -> None:
        """Forget them all, where P goes on to learn."""
        self.kept.clear()
        self.bytes = 0

    def _one(self, network: Network, low: Tensor, key: int) -> Tensor:
        found = self.kept.get(key)
        if found is None:
            # Alone, so that the last bit does not depend on which clips share a batch: a resumed
            # training has nothing in memory, and is to go on with the same numbers.
            found = network.predicted_shifts(low[None])[0].float()
            if key >= 0 and self.bytes + found.nbytes <= self.limit:
                self.kept[key] = found
                self.bytes += found.nbytes
        return found
