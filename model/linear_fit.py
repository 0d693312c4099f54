"""Fits the linear restoration of a variant to clips, and starts its R from it.

Suffixes: N clips, T frames, A = T-1 others, h w low pixels, S high pixels, K = 64 control points.
"""

import torch
from torch import Tensor

from model.layers.features import DEPTH
from model.layers.linear import LinearRestoration, fit
from model.network import Network, build


@torch.no_grad()
def fit_linear(
    network: Network, low: Tensor, truth: Tensor, shifts: Tensor | None = None
) -> Network:
    """Fit the linear counterpart of a variant (`linear5warp` of `f5warp`), with its P as it is.

    `low` is N×T×3×h×w and `truth` N×3×S×S in [0, 1]; N×A×K×2 `shifts` stand for P's. Returns the
    counterpart, for inference.
    """
    name = network.variant.removeprefix("f")
    counterpart = build(f"linear{name}", network.scale, network.size, frame_step=network.frame_step)
    assert isinstance(counterpart, Network)
    filters = counterpart.reconstruction
    assert isinstance(filters, LinearRestoration)
    if counterpart.predictor is not None and network.predictor is not None:
        counterpart.predictor.load_state_dict(network.predictor.state_dict())

    def aligned(part: slice) -> Tensor:
        return counterpart.aligned(low[part], None if shifts is None else shifts[part])

    fit(filters, aligned, truth)
    return counterpart.eval().requires_grad_(False)


def start_linear(network: Network, counterpart: Network) -> None:
    """Write the filters of a variant's fitted counterpart into its R."""
    filters = counterpart.reconstruction
    assert isinstance(filters, LinearRestoration)
    network.reconstruction.start_as(filters, DEPTH)  # type: ignore[operator]
