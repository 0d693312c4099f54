"""Streaming inference: every frame of a video as the centre of its window, in constant memory.

The work on a frame is done once, when the frame comes (model/inference/steps.py). That on the last
2k·step + 1 frames and one batch is held, for frames `step` apart. Windows at the ends of a track
repeat its first and its last frame. Batches, of frames and of windows, are filled across the parts
of tracks, and the last one with copies: all have one size, so that what becomes of a frame does not
hang on how many lie beside it. On CPU frames and windows go one by one.

Suffixes: N n frames, h low pixels, S high pixels.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat
from typing import TypeVar, overload

import torch
from torch import Tensor, nn

from model.inference.steps import FrameWork, once_a_frame, once_a_window, route_of
from model.layers.bicubic import Bicubic
from model.network import Network
from model.pixels import device_of, to_pixels

# More at once fall out of the caches of one core, and a batch of another size is rounded otherwise.
# That frames go one by one, too, costs f25warp 3 ms of 115 a frame, and f1 0.7 of 65.
CPU_WINDOWS = 1

Windows = Iterator[list[FrameWork]]
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Part:
    """A stretch of one track, in which some frames are there only for the windows of the others.

    `low` is n×h×h×3 uint8 as stored; its first `before` and its last `after` frames
    are not given back. `at_start` says that the track starts with the first frame of `low`, and
    `at_end` that it ends with the last: there windows repeat them. Elsewhere `before` and `after`
    are to be the network's `reach` or more.
    """

    low: Tensor
    before: int
    after: int
    at_start: bool
    at_end: bool


def reach(network: nn.Module) -> int:
    """How many frames of a track before and after a frame its window spans: k·step."""
    known = _known(network)
    return known.num_frames // 2 * known.frame_step


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
    known = _known(network)
    windows_of = partial(_windows, network=known)
    images = _images(known, iter(frames), windows_of, _at_least_one(batch_size), bf16)
    if not isinstance(frames, Tensor):
        return images
    if frames.ndim != 4 or len(frames) == 0:
        raise ValueError(f"frames: expected N×3×h×h with N ≥ 1, got {tuple(frames.shape)}")
    restored = frames.new_empty(len(frames), 3, known.size, known.size, dtype=torch.float32)
    for index, image in enumerate(images):
        restored[index] = image
    return restored


def restore_parts(
    network: nn.Module, parts: Iterable[Part], batch_size: int = 16, bf16: bool = False
) -> Iterator[Tensor]:
    """Restore parts of tracks: of each, in order, the (n - before - after)×3×S×S float32 in [0, 1]
    that `restore` makes of these frames in the whole track, on the network's device.

    In float32 on a CPU the same to the last bit, however tracks are cut and parts grouped; else to
    rounding. Parts are read as they are needed for a batch, and held until they are given back.
    Raises ValueError for `batch_size` below 1 and, when it is read, for a part of a wrong shape or
    type, without a frame to give back, or with too few around it.
    """
    return _restore_each(_known(network), parts, _at_least_one(batch_size), bf16)


def _restore_each(
    network: Network | Bicubic, parts: Iterable[Part], batch_size: int, bf16: bool
) -> Iterator[Tensor]:
    # Work on frames runs ahead of windows, and these ahead of what is given back. (`tee` would
    # keep blocks of 57 parts.)
    begun: deque[Part] = deque()
    seen: deque[Part] = deque()
    device = device_of(network)

    def frames() -> Iterator[Tensor]:
        for part in parts:
            begun.append(_needed(part, network))
            yield from to_pixels(begun[-1].low, device)

    def windows_of(works: Iterator[FrameWork]) -> Windows:
        for work in works:
            part = begun.popleft()
            seen.append(part)
            count = len(part.low)
            windows = _windows(chain((work,), islice(works, count - 1)), network)
            yield from islice(windows, part.before, count - part.after)

    images = _images(network, frames(), windows_of, batch_size, bf16)
    for image in images:
        part = seen.popleft()
        count = len(part.low) - part.before - part.after
        yield torch.stack([image, *islice(images, count - 1)])


def _needed(part: Part, network: Network | Bicubic) -> Part:
    """The part, checked, without the frames that lie out of reach."""
    side, most, count = network.size // network.scale, reach(network), len(part.low)
    if part.low.dtype != torch.uint8 or part.low.shape != (count, side, side, 3):
        raise ValueError(
            f"low: expected n×{side}×{side}×3 uint8 (frames, rows, columns, RGB) for this network, "
            f"got {'×'.join(map(str, part.low.shape))} {part.low.dtype}"
        )
    if min(part.before, part.after) < 0 or part.before + part.after >= count:
        raise ValueError(
            f"before {part.before}, after {part.after}: expected 0 or more that leave at least one "
            f"of the part's {count} frames to give back"
        )
    for name, frames, at_edge in (
        ("before", part.before, part.at_start),
        ("after", part.after, part.at_end),
    ):
        if frames < most and not at_edge:
            raise ValueError(
                f"{name}: {frames} frames, but the network's windows reach over {most}; give the "
                "part so many, or say that its track has no more (at_start, at_end)"
            )
    before, after = min(part.before, most), min(part.after, most)
    low = part.low[part.before - before : count - part.after + after]
    return replace(part, low=low, before=before, after=after)


def _images(
    network: Network | Bicubic,
    frames: Iterator[Tensor],
    windows_of: Callable[[Iterator[FrameWork]], Windows],
    batch_size: int,
    bf16: bool,
) -> Iterator[Tensor]:
    """What is restored, 3×S×S each, from frames 3×h×h and the windows of the work on them."""
    if isinstance(network, Bicubic):
        # Each frame for itself: its windows hold no other.
        enlarged = (FrameWork(network(x[None, None])[0], None, None, None) for x in frames)
        yield from (work.central for (work,) in windows_of(enlarged))
        return
    route = route_of(network, bf16)
    size = min(batch_size, CPU_WINDOWS) if route.fast else batch_size
    works = _in_batches(partial(once_a_frame, network, route), frames, size)
    yield from _in_batches(partial(once_a_window, network, route), windows_of(works), size)


def _in_batches(
    work: Callable[[list[Given]], list[Made]], values: Iterator[Given], size: int
) -> Iterator[Made]:
    """`work` on batches of one size, of which the last is filled with copies of its last value."""
    while batch := list(islice(values, size)):
        missing = size - len(batch)
        yield from work(batch + batch[-1:] * missing)[: len(batch)]


def _windows(works: Iterator[FrameWork], network: Network | Bicubic) -> Windows:
    """The 2k+1 frames around each, of which the first and the last are repeated beyond the ends."""
    span = reach(network)
    held: deque[FrameWork] = deque(maxlen=2 * span + 1)
    for work in _extended(works, span):
        held.append(work)
        if len(held) == held.maxlen:
            yield list(held)[:: network.frame_step]


def _extended(works: Iterator[FrameWork], count: int) -> Iterator[FrameWork]:
    """The works, and `count` times more the first and the last."""
    last = next(works, None)
    if last is None:
        return
    yield from repeat(last, count + 1)
    for last in works:
        yield last
    yield from repeat(last, count)


def _known(network: nn.Module) -> Network | Bicubic:
    if not isinstance(network, Network | Bicubic):
        raise ValueError(f"network: expected one of model.network.build, got {type(network)}")
    return network


def _at_least_one(batch_size: int) -> int:
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    return batch_size
