"""`python -m model.complexity`: parameters and multiply-adds of every variant, by running it."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from infra.conventions import CONTROL_POINTS
from model.network import build
from model.thin_plate_spline import dense_field
from model.variants import VARIANTS


def count(variant: str, scale: int = 8, size: int = 128, width: float = 1.0) -> tuple[int, float]:
    """Return (parameters, GMAC an output frame) of a variant, from PyTorch's counter.

    It counts convolutions and matrix products, the spline's among them, not bilinear sampling.
    """
    network = build(variant, scale, size, width)
    side = size // scale
    num_frames = getattr(network, "num_frames", 1)
    # The spline's constant matrix is made once a process, and is no part of a frame.
    dense_field(torch.zeros(1, CONTROL_POINTS, 2), size, size)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, num_frames, 3, side, side))
    return parameters(network), counter.get_total_flops() / 2e9


def parameters(module: nn.Module) -> int:
    """Return the number of trained numbers in a module."""
    return sum(value.numel() for value in module.parameters())


def table(scale: int = 8, size: int = 128) -> str:
    """Return a Markdown table of all the paper's variants."""
    lines = [
        f"| variant (×{scale} to {size}×{size}) | parameters | GMAC a frame |",
        "|---|---:|---:|",
    ]
    for variant in VARIANTS:
        weights, gmac = count(variant, scale, size)
        lines.append(f"| {variant} | {weights:,} | {gmac:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(8))
    print()
    print(table(4))
