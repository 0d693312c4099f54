"""Batches as stored, and networks small enough for the tests of objectives."""

import torch

from model.network import build
from model.perceptual import FaceRecogniser


def stored(count: int = 2, size: int = 32, scale: int = 4) -> dict[str, torch.Tensor]:
    low = size // scale
    return {
        "low": torch.randint(0, 256, (count, 25, low, low, 3), dtype=torch.uint8),
        "high": torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8),
        "neighbour": torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8),
        "neighbour_offset": torch.tensor([-12, 5, 1, -1]).repeat(-(-count // 4))[:count],
        "label": torch.arange(count) % 3,
    }


def recogniser() -> FaceRecogniser:
    return FaceRecogniser(3, width=0.05, input_size=32, fc_width=12, dropout=0.0)


def small(variant: str) -> torch.nn.Module:
    return build(variant, scale=4, size=32, width=0.25)
