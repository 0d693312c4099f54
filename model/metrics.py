"""Metrics on tensors (paper §5): luma PSNR, distances of normalised features, end-point error."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from infra.conventions import LUMA
from model.losses import unit_features
from model.perceptual import FaceRecogniser


def luma(images: Tensor) -> Tensor:
    """BT.601 luma, full range: …×3×H×W RGB in [0, 1] → …×H×W in [0, 1]."""
    red, green, blue = images.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def psnr_luma(restored: Tensor, truth: Tensor) -> Tensor:
    """PSNR on BT.601 luma of B×3×H×W images in [0, 1], one value in dB an image (peak 1)."""
    error = (luma(restored.double()) - luma(truth.double())).square().mean(dim=(-2, -1))
    return -10 * torch.log10(error.clamp_min(1e-10))


def central_view(images: Tensor, side: int) -> Tensor:
    """What the recogniser sees in verification (§5.2): B×3×H×W in [0, 1] → B×3×side×side.

    The picture is resized to 256/224 of `side` (bilinear, antialiased) and its centre cut out: for
    VGG-Face, 224 of 256 pixels.
    """
    large = round(side * 256 / 224)
    resized = functional.interpolate(
        images.float(), (large, large), mode="bilinear", align_corners=False, antialias=True
    )
    start = (large - side) // 2
    return resized[..., start : start + side, start : start + side]


@torch.no_grad()
def unit_layers(
    recogniser: FaceRecogniser, images: Tensor, layers: Collection[str]
) -> dict[str, Tensor]:
    """Unit-length features B×n of the named layers of the central view of B×3×H×W images in [0, 1].

    One pass gives them all; that of fc7 is the descriptor of verification.
    """
    view = central_view(images, recogniser.input_size)
    return {
        layer: unit_features(maps) for layer, maps in recogniser.forward_to(view, layers).items()
    }


def feature_distances(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Euclidean distances of two results of `unit_layers`, B values in [0, 2] a layer (Table 1)."""
    return {layer: (one[layer] - two[layer]).norm(dim=1) for layer in one}


def end_point_error(field: Tensor, truth: Tensor) -> Tensor:
    """Mean distance between two B×h×w×2 sampling grids, B values in pixels of that h×w grid."""
    height, width = field.shape[1:3]
    x, y = (field - truth).unbind(-1)
    return torch.hypot(x * (width / 2), y * (height / 2)).mean(dim=(1, 2))
