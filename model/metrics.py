"""Metrics on tensors (paper §5): luma PSNR, distances of normalised features, end-point error."""

from collections.abc import Collection

import torch
from torch import Tensor

from model.losses import unit_features
from model.perceptual import FaceRecogniser

LUMA = (0.299, 0.587, 0.114)


def luma(images: Tensor) -> Tensor:
    """BT.601 luma, full range: …×3×H×W RGB in [0, 1] → …×H×W in [0, 1]."""
    red, green, blue = images.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def psnr_luma(restored: Tensor, truth: Tensor) -> Tensor:
    """PSNR on BT.601 luma of B×3×H×W images in [0, 1], one value in dB an image (peak 1)."""
    error = (luma(restored.double()) - luma(truth.double())).square().mean(dim=(-2, -1))
    return -10 * torch.log10(error.clamp_min(1e-10))


@torch.no_grad()
def feature_distances(
    recogniser: FaceRecogniser, restored: Tensor, truth: Tensor, layers: Collection[str]
) -> dict[str, Tensor]:
    """Euclidean distances of unit-normalised features, B values in [0, 2] a layer (Table 1)."""
    one = recogniser.forward_to(restored, layers)
    two = recogniser.forward_to(truth, layers)
    return {
        layer: (unit_features(one[layer]) - unit_features(two[layer])).norm(dim=1)
        for layer in layers
    }


def end_point_error(field: Tensor, truth: Tensor) -> Tensor:
    """Mean distance between two B×h×w×2 sampling grids, B values in pixels of that h×w grid."""
    height, width = field.shape[1:3]
    pixels = (field - truth) * field.new_tensor([width / 2, height / 2])
    return pixels.norm(dim=-1).mean(dim=(1, 2))
