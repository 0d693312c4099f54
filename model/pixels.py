"""From a batch as stored (uint8, channels last) to what the network takes (float, channels first).

Suffixes: B batch, T frames, h w low pixels, S high pixels.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
Function = TypeVar("Function", bound=Callable[..., object])


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters (CPU when it has none)."""
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def exact(device: torch.device) -> AbstractContextManager[object]:
    """No autocast, which is for the network: what is learnt from, and where it places pixels, stays
    float32. In an exported program there is none, and the block would not survive being stored."""
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def constant(function: Function) -> Function:
    """Marks a function for torch.compile, which looks through a cache, as one to be called once.

    This is `torch.compiler.assume_constant_result`, which imports the compiler for it: 1.2 s of
    every process that restores.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def sent(drawn: Tensor, like: Tensor) -> Tensor:
    """What was drawn on the CPU, on the device of `like`, and of its type if it is of real numbers.

    From pinned memory, so that the host does not wait for the work that a GPU still has to do, as
    it does in a plain `.to(device)`.
    """
    if drawn.is_floating_point():
        drawn = drawn.to(like.dtype)
    if like.is_cuda and not drawn.is_cuda:
        drawn = drawn.pin_memory()
    return drawn.to(like.device, non_blocking=True)


def to_pixels(stored: Tensor, device: torch.device) -> Tensor:
    """…×H×W×3 uint8 → …×3×H×W float32 in [0, 1] on `device`."""
    return stored.to(device, non_blocking=True).movedim(-1, -3).float().div(255)


def centre_slice(low: Tensor, num_frames: int, frame_step: int = 1) -> Tensor:
    """Cut `num_frames` frames, `frame_step` apart about the centre, out of B×T×…; raises
    ValueError if T is too few."""
    stored = low.shape[1]
    reach = num_frames // 2 * frame_step
    if num_frames % 2 == 0 or stored % 2 == 0 or 2 * reach + 1 > stored:
        raise ValueError(
            f"low: cannot cut a centred window of {num_frames} frames, {frame_step} apart, out of "
            f"{stored}; both must be odd, and the shards must hold {2 * reach + 1} or more"
        )
    centre = stored // 2
    return low[:, centre - reach : centre + reach + 1 : frame_step]


def low_window(batch: Batch, num_frames: int, device: torch.device, frame_step: int = 1) -> Tensor:
    """The batch's B×num_frames×3×h×w window, float32 in [0, 1]."""
    return to_pixels(centre_slice(batch["low"], num_frames, frame_step), device)


def without_centre(frames: Tensor) -> Tensor:
    """The frames B×A×… around the central one of B×T×…, T odd and A = T - 1, in temporal order."""
    radius = frames.shape[1] // 2
    return torch.cat((frames[:, :radius], frames[:, radius + 1 :]), dim=1)


def pick_frames(low: Tensor, offset: Tensor) -> Tensor:
    """Take from B×T×3×h×w the frame `offset` (B, signed, from the centre) of each clip: B×3×h×w."""
    index = low.shape[1] // 2 + offset.to(low.device)
    if bool((index < 0).any()) or bool((index >= low.shape[1]).any()):
        raise ValueError(
            f"neighbour_offset: {offset.tolist()} reaches outside a window of {low.shape[1]} frames"
        )
    return low[torch.arange(low.shape[0], device=low.device), index]


def check_low(low: Tensor, num_frames: int, side: int) -> None:
    """Raise ValueError unless `low` is B×num_frames×3×side×side."""
    expected = (num_frames, 3, side, side)
    if low.ndim != 5 or tuple(low.shape[1:]) != expected:
        raise ValueError(
            f"low: expected B×{'×'.join(map(str, expected))} (frames, RGB, rows, columns), "
            f"got {'×'.join(map(str, low.shape))}; cut the window or build the network for it"
        )
