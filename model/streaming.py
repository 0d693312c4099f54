"""Streaming inference: every frame of a video as the centre of its window, in constant memory.

What depends on a frame alone (F₀, F_adj, P's branch for each role) is computed once, when the frame
comes, and serves all windows that hold it. So is P's first layer on the pair of branches, since a
convolution of joined maps is the sum of one convolution of each. Only the last 2k·step + 1 frames
and one batch are held, for frames `step` apart. Windows at the ends repeat the first and the last
frame. On CPU windows go one by one, which stays in a core's caches, and the large convolutions
through model/cpu/convolution.py.

Suffixes: N frames, W windows in a batch, A = 2k adjacent frames, h low pixels, S high pixels.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.cpu.convolution import fast_reconstruction, fast_sequence
from model.layers.bicubic import Bicubic
from model.layers.reconstruction import Reconstruction
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.network import Network
from model.pixels import check_low
from model.thin_plate_spline import dense_field

# More at once fall out of the caches of one core.
CPU_WINDOWS = 1


class Parts(NamedTuple):
    """What a window goes through, chosen for the device."""

    device: torch.device
    trunk: Callable[[Tensor], Tensor] | None
    # R of one window, on the pieces of its stack; None where windows go together.
    reconstruct: Callable[[Iterable[Tensor]], Tensor] | None
    windows: int
    bf16: bool


class FrameWork(NamedTuple):
    """What is kept of a frame; P's two halves are None in a variant without warp."""

    central: Tensor
    adjacent: Tensor | None
    central_half: Tensor | None
    adjacent_half: Tensor | None


@overload
def restore(
    network: nn.Module, frames: Tensor, batch_size: int = ..., bf16: bool = ...
) -> Tensor: ...
@overload
def restore(
    network: nn.Module, frames: Iterable[Tensor], batch_size: int = ..., bf16: bool = ...
) -> Iterator[Tensor]: ...
def restore(
    network: nn.Module,
    frames: Tensor | Iterable[Tensor],
    batch_size: int = 16,
    bf16: bool = False,
) -> Tensor | Iterator[Tensor]:
    """Restore every frame of a video: N×3×h×h float32 in [0, 1] → N×3×S×S float32 in [0, 1].

    A tensor gives a tensor on its own device; an iterable of 3×h×h frames gives an iterator of
    3×S×S and holds one window and one batch, whatever N. `bf16` turns on autocast on CUDA. Raises
    ValueError for a wrong shape, no frames, or `batch_size` below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if not isinstance(network, Network | Bicubic):
        raise ValueError(f"network: expected one of model.network.build, got {type(network)}")
    if not isinstance(frames, Tensor):
        return _restore_each(network, iter(frames), batch_size, bf16)
    if frames.ndim != 4 or len(frames) == 0:
        raise ValueError(f"frames: expected N×3×h×h with N ≥ 1, got {tuple(frames.shape)}")
    restored = frames.new_empty(len(frames), 3, network.size, network.size, dtype=torch.float32)
    for index, image in enumerate(_restore_each(network, iter(frames), batch_size, bf16)):
        restored[index] = image
    return restored


def _restore_each(
    network: Network | Bicubic, frames: Iterator[Tensor], batch_size: int, bf16: bool
) -> Iterator[Tensor]:
    if isinstance(network, Bicubic):
        for frame in frames:
            yield network(frame[None, None])[0]
        return
    parts = _parts(network, bf16)
    reach = network.radius * network.frame_step
    held: list[FrameWork] = []
    first, centre, ended = 0, 0, False
    while not ended:
        chunk = list(islice(frames, batch_size))
        ended = len(chunk) < batch_size
        if chunk:
            held += _once_a_frame(network, parts, torch.stack(chunk))
        known = first + len(held)
        ready = known if ended else max(centre, known - reach)
        while centre < ready:
            stop = min(centre + min(batch_size, parts.windows), ready)
            # Before the first and after the last frame, these are repeated.
            windows = [
                [
                    held[min(max(place, 0), known - 1) - first]
                    for place in range(middle - reach, middle + reach + 1, network.frame_step)
                ]
                for middle in range(centre, stop)
            ]
            yield from _once_a_window(network, parts, windows)
            centre = stop
        # The next window reaches back to centre - reach.
        spare = max(0, centre - reach - first)
        del held[:spare]
        first += spare


def _parts(network: Network, bf16: bool) -> Parts:
    first = next(network.parameters())
    on_cpu = first.device.type == "cpu"
    # The transforms are float32; in float64 exactness is wanted more than speed.
    fast = on_cpu and first.dtype == torch.float32
    # P's first layer is done a frame at a time, see _halves.
    predictor, trunk = network.predictor, None
    if predictor is not None:
        trunk = nn.Sequential(*list(predictor.trunk)[1:])
    low_side, last = network.size // network.scale, network.reconstruction
    return Parts(
        first.device,
        fast_sequence(trunk, low_side) if fast and trunk is not None else trunk,
        fast_reconstruction(last, network.size)
        if fast and isinstance(last, Reconstruction)
        else None,
        CPU_WINDOWS if fast else sys.maxsize,
        bf16 and not on_cpu,
    )


@torch.no_grad()
def _once_a_frame(network: Network, parts: Parts, frames: Tensor) -> list[FrameWork]:
    check_low(frames[:, None], 1, network.size // network.scale)
    low = frames.to(parts.device)
    predictor = network.predictor
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=parts.bf16):
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


def _shifts(network: Network, parts: Parts, central: Tensor, adjacent: Tensor) -> Tensor:
    """The halves of W centres and of their others W×A → P's shifts W×A×64×2."""
    assert network.predictor is not None and parts.trunk is not None
    maps = parts.trunk((central[:, None] + adjacent).flatten(0, 1))
    return network.predictor.last_layers(maps).unflatten(0, adjacent.shape[:2])


@torch.no_grad()
def _once_a_window(
    network: Network, parts: Parts, windows: list[list[FrameWork]]
) -> Iterator[Tensor]:
    middle = network.radius
    centres = [window[middle] for window in windows]
    others = [window[:middle] + window[middle + 1 :] for window in windows]
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=parts.bf16):
        shifts = None
        if network.predictor is not None:
            shifts = _shifts(
                network,
                parts,
                _stacked([work.central_half for work in centres]),
                _windows([[work.adjacent_half for work in window] for window in others]),
            )
        if parts.reconstruct is not None:
            own = [None] * len(windows) if shifts is None else shifts
            pieces = (_pieces(network, *each) for each in zip(windows, own, strict=True))
            return iter([parts.reconstruct(stack)[0] for stack in pieces])
        stack = torch.stack([work.central for work in centres])
        if network.adjacent is not None:
            maps = _windows([[work.adjacent for work in window] for window in others])
            stack = network.stack(stack, maps, shifts)
        restored = network.reconstruction(stack).float()
    return iter(restored.unbind())


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
