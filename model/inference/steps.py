"""The two steps of streaming inference: the work on a frame, and that on a window of such work.

What depends on a frame alone (F₀, F_adj, P's branch for each role) serves all windows that hold it.
So does P's first layer on the pair of branches, since a convolution of joined maps is the sum of
one convolution of each. On CPU the large convolutions go through model/cpu/convolution.py.

Suffixes: W windows in a batch, A = 2k adjacent frames, h low pixels, S high pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.cpu.convolution import fast_reconstruction, fast_sequence
from model.layers.reconstruction import Reconstruction
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.network import Network
from model.pixels import check_low, device_of
from model.thin_plate_spline import dense_field


class Route(NamedTuple):
    """How the steps are done, chosen for the device."""

    device: torch.device
    # Float32 on a CPU, by the means of model/cpu.
    fast: bool
    trunk: Callable[[Tensor], Tensor] | None
    # R of one window, on the pieces of its stack; None where windows go together.
    reconstruct: Callable[[Iterable[Tensor]], Tensor] | None
    bf16: bool


class FrameWork(NamedTuple):
    """What is kept of a frame; P's two halves are None in a variant without warp."""

    central: Tensor
    adjacent: Tensor | None
    central_half: Tensor | None
    adjacent_half: Tensor | None


def route_of(network: Network, bf16: bool) -> Route:
    """How the steps go on the device of the network; autocast (`bf16`) is for CUDA alone."""
    device = device_of(network)
    # The transforms are float32; in float64 exactness is wanted more than speed.
    fast = device.type == "cpu" and next(network.parameters()).dtype == torch.float32
    # P's first layer is done a frame at a time, see _halves.
    predictor, trunk = network.predictor, None
    if predictor is not None:
        trunk = nn.Sequential(*list(predictor.trunk)[1:])
    low_side, last = network.size // network.scale, network.reconstruction
    return Route(
        device,
        fast,
        fast_sequence(trunk, low_side) if fast and trunk is not None else trunk,
        fast_reconstruction(last, network.size)
        if fast and isinstance(last, Reconstruction)
        else None,
        bf16 and device.type != "cpu",
    )


@torch.no_grad()
def once_a_frame(network: Network, route: Route, frames: list[Tensor]) -> list[FrameWork]:
    """The work on frames 3×h×h in [0, 1]; raises ValueError for another shape."""
    low = torch.stack(frames)
    check_low(low[:, None], 1, network.size // network.scale)
    low = low.to(route.device)
    predictor = network.predictor
    with torch.autocast(route.device.type, torch.bfloat16, enabled=route.bf16):
        features = network.central(low)
        others = (
            None if network.adjacent is None else network.adjacent(low),
            *((None, None) if predictor is None else _halves(predictor, low)),
        )
    # Cloned: a view would keep the whole batch's memory for as long as one frame of it is needed.
    return [
        FrameWork(
            features[index].clone(),
            *(None if value is None else value[index].clone() for value in others),
        )
        for index in range(len(frames))
    ]


def _halves(predictor: WarpPredictor, low: Tensor) -> tuple[Tensor, Tensor]:
    """P's first layer on a frame in each role, N×100×h×h twice; the bias is in the central one."""
    first = predictor.trunk[0]
    assert isinstance(first, nn.Conv2d)
    central, adjacent = predictor.central_maps(low), predictor.adjacent_maps(low)
    weights = first.weight.split((central.shape[1], adjacent.shape[1]), dim=1)
    padding = first.padding
    assert not isinstance(padding, str)
    return (
        functional.conv2d(central, weights[0], first.bias, padding=padding),
        functional.conv2d(adjacent, weights[1], padding=padding),
    )


def _shifts(network: Network, route: Route, central: Tensor, adjacent: Tensor) -> Tensor:
    """The halves of W centres and of their others W×A → P's shifts W×A×64×2."""
    assert network.predictor is not None and route.trunk is not None
    maps = route.trunk((central[:, None] + adjacent).flatten(0, 1))
    return network.predictor.last_layers(maps).unflatten(0, adjacent.shape[:2])


@torch.no_grad()
def once_a_window(network: Network, route: Route, windows: list[list[FrameWork]]) -> list[Tensor]:
    """The restored central frames of windows of 2k+1 frames each: 3×S×S float32 each."""
    middle = network.radius
    centres = [window[middle] for window in windows]
    others = [window[:middle] + window[middle + 1 :] for window in windows]
    with torch.autocast(route.device.type, torch.bfloat16, enabled=route.bf16):
        shifts = None
        if network.predictor is not None:
            shifts = _shifts(
                network,
                route,
                _stacked([work.central_half for work in centres]),
                _windows([[work.adjacent_half for work in window] for window in others]),
            )
        if route.reconstruct is not None:
            own = [None] * len(windows) if shifts is None else shifts
            pieces = (_pieces(network, *each) for each in zip(windows, own, strict=True))
            return [route.reconstruct(stack)[0] for stack in pieces]
        stack = torch.stack([work.central for work in centres])
        if network.adjacent is not None:
            maps = _windows([[work.adjacent for work in window] for window in others])
            stack = network.stack(stack, maps, shifts)
        restored = network.reconstruction(stack).float()
    return list(restored.unbind())


def _pieces(
    network: Network, window: list[FrameWork], shifts_AK2: Tensor | None
) -> Iterator[Tensor]:
    """The stack of one window in temporal order, frame by frame: 1×D×S×S each."""
    if shifts_AK2 is not None:
        fields = iter(dense_field(shifts_AK2, network.size, network.size).split(1))
    for place, work in enumerate(window):
        if place == network.radius:
            yield work.central[None]
            continue
        assert work.adjacent is not None
        maps = work.adjacent[None]
        yield maps if shifts_AK2 is None else warp(maps, next(fields))


def _windows(values: list[list[Tensor | None]]) -> Tensor:
    together = _stacked([value for window in values for value in window])
    return together.unflatten(0, (len(values), -1))


def _stacked(values: list[Tensor | None]) -> Tensor:
    return torch.stack([value for value in values if value is not None])
