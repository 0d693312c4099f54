"""The loss, eq. (6): squared error summed over the image plus distances of recogniser features.

    E = Σ_pixels |y - x|²  +  Σ_l λ_l · |φ_l(y) / |φ_l(y)| - φ_l(x) / |φ_l(x)||²

with y the restored and x the true image in [0, 1], φ_l the flattened maps of layer l (pool3, pool4,
fc7) of a frozen face recogniser. The paper does not give the normalisation; with unit norms its λ
(10³ on LFW, 10⁵ on YTF) put the terms in the proportions that it describes. Means are over the
batch.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from model.perceptual import FaceRecogniser


def pixel_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Squared error of B×3×H×W images summed over pixels and colours, mean over the batch."""
    return (restored.float() - truth.float()).square().sum(dim=(1, 2, 3)).mean()


def unit_features(maps: Tensor) -> Tensor:
    """Flatten B×… features to B×n and divide each row by its Euclidean norm."""
    return functional.normalize(maps.float().flatten(1), dim=1)


def perceptual_distances(
    recogniser: FaceRecogniser,
    restored: Tensor,
    truth: Tensor,
    weights: Mapping[str, float],
    input_size: int | None = None,
    target: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Squared distance of unit features a layer of `weights`, mean over the batch, unweighted.

    The truth's features carry no gradient; neither do the recogniser's parameters when frozen.
    `target` is `target_features` of the truth, for one who has them.
    """
    if target is None:
        target = target_features(recogniser, truth, weights, input_size)
    given = recogniser.forward_to(restored, weights, input_size)
    return {
        layer: (unit_features(given[layer]) - target[layer]).square().sum(dim=1).mean()
        for layer in weights
    }


@torch.no_grad()
def target_features(
    recogniser: FaceRecogniser,
    truth: Tensor,
    layers: Collection[str],
    input_size: int | None = None,
) -> dict[str, Tensor]:
    """Unit features B×n of each layer of true images B×3×H×W in [0, 1], without gradients."""
    found = recogniser.forward_to(truth, layers, input_size)
    return {layer: unit_features(maps) for layer, maps in found.items()}
