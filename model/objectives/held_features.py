"""What the frozen recogniser says of a true face: computed once a clip, where it never changes.

With VGG-Face at 224 pixels the truth is a quarter of the recogniser's work in a step. Augmentation
shows another picture each time, so then there is nothing to keep.

Suffixes: B batch, S high pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.losses import target_features
from model.objectives.held import Held
from model.perceptual import FaceRecogniser

LIMIT = 2 << 30  # bytes: 1,700 clips of VGG-Face's three layers, any number of a narrow one's


class HeldFeatures(Held):
    """The unit features of each layer of the true faces seen so far."""

    def __init__(self, limit: int = LIMIT) -> None:
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
