"""The warping module M (paper §3): features read through a sampling grid, bilinear.

The paper does not say what is read outside the image; here the nearest border pixel is.
"""

import torch
from torch import Tensor
from torch.nn import functional

from model.pixels import exact


def warp(features: Tensor, field: Tensor) -> Tensor:
    """Read B×C×H×W `features` at B×h×w×2 normalised places (x, y); returns B×C×h×w.

    Bilinear, border padding, `align_corners=False`. Always float32, also inside autocast (half
    precision would place pixels 0.1 apart at best); float64 features stay float64.
    """
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    with exact(features.device):
        return functional.grid_sample(
            features.to(dtype),
            field.to(dtype),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
