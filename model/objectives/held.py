"""What is computed of a clip once and then looked up, by its `order`: a hash that no two clips of a
data set share.

What P says while it does not learn: recomputed at each step, P takes a third of a training step of
f5warp and most of one of f25warp. And what the frozen recogniser says of a true face: with VGG-Face
at 224 pixels a quarter of the recogniser's work in a step. Augmentation shows another picture each
time, so then there is nothing of that kind to keep.

Suffixes: B batch, T frames, A = T-1 adjacent frames, h w low pixels, S high pixels, K = 64 control
points.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model.losses import target_features
from model.network import Network
from model.perceptual import FaceRecogniser

Values = tuple[Tensor, ...]
MOST_SHIFTS = 256 << 20  # bytes: 21,000 clips of 25 frames, 131,000 of 5
MOST_FEATURES = 2 << 30  # bytes: 1,700 clips of VGG-Face's three layers, any number of narrow ones


class Held:
    """Tensors of the clips seen so far, on the device where they were computed.

    Those of more clips than `limit` bytes have room for are computed each time. What is kept stays:
    each epoch sees every clip once, so the one used least recently is the one needed soonest.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: dict[int, Values] = {}
        self.bytes = 0

    def one(self, key: int, compute: Callable[[], Values]) -> Values:
        """What is kept for a clip, or else what `compute` gives, kept now unless `key` is negative.

        It should be computed of that clip alone, so that the last bit does not depend on which
        clips share a batch: a resumed training has nothing in memory, and is to go on with the same
        numbers.
        """
        found = self.kept.get(key)
        if found is None:
            found = compute()
            size = sum(value.nbytes for value in found)
            if key >= 0 and self.bytes + size <= self.limit:
                self.kept[key] = found
                self.bytes += size
        return found

    def clear(self) -> None:
        """Forget them all."""
        self.kept.clear()
        self.bytes = 0


class HeldShifts(Held):
    """The shifts A×64×2, float32, of the clips seen so far; P must stay as it is until `clear`."""

    def __init__(self, limit: int = MOST_SHIFTS) -> None:
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


class HeldFeatures(Held):
    """The unit features of each layer of the true faces seen so far."""

    def __init__(self, limit: int = MOST_FEATURES) -> None:
        super().__init__(limit)

    @torch.compiler.disable
    def of(
        self,
        recogniser: FaceRecogniser,
        truth: Tensor,
        layers: Sequence[str],
        input_size: int | None,
        order: Tensor,
    ) -> dict[str, Tensor]:
        """Features B×n a layer of faces B×3×S×S in [0, 1], looked up by `order`, B; where that is
        negative they are computed."""
        if bool((order < 0).all()):
            return target_features(recogniser, truth, layers, input_size)
        rows = []
        for place, key in enumerate(order.tolist()):

            def compute(place: int = place) -> tuple[Tensor, ...]:
                found = target_features(recogniser, truth[place : place + 1], layers, input_size)
                return tuple(found[layer][0] for layer in layers)

            rows.append(self.one(key, compute))
        return {
            layer: torch.stack(values)
            for layer, values in zip(layers, zip(*rows, strict=True), strict=True)
        }
