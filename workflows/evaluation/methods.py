"""The rows of every table: truth, low frame, bicubic, linear, trained variants, other methods."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from infra.errors import RunError
from infra.runs import Run
from infra.settings.settings import Settings
from model.network import Bicubic
from model.pixels import to_pixels
from workflows.evaluation.exchange import FrameError, read_restored
from workflows.shared import artifacts
from workflows.shared.restoring import pictures, restore_clips, shifted
from workflows.training import linear_start

Arrays = dict[str, NDArray[Any]]
# Clips B as stored, and B offsets in frames from their centres → B×3×S×S in [0, 1] on the CPU; NaN
# where the method has no picture.
Restore = Callable[[Arrays, NDArray[np.int_]], Tensor]
BASELINES = ("ground_truth", "low", "bicubic", "linear")


def row_names(settings: Settings, run: Run) -> list[str]:
    """All rows in their order: baselines, the run's variants, other methods."""
    return [*BASELINES, *artifacts.trained_variants(run), *settings.evaluate.external]


def networks(run: Run, settings: Settings, variants: list[str]) -> dict[str, nn.Module]:
    """The trained networks of a run by name, bicubic, and the linear restoration of the longest
    window; for inference."""
    found: dict[str, nn.Module] = {}
    for variant in variants:
        if variant == "bicubic":
            found[variant] = Bicubic(settings.clip.scale, settings.clip.size)
        elif variant == "linear":
            widest = linear_start.widest(artifacts.trained_variants(run))
            found[variant] = linear_start.load(run.path("train", widest, linear_start.FILE))
        else:
            found[variant] = artifacts.load_frozen(run.path("train", variant, artifacts.WEIGHTS))
    return found


def all_networks(run: Run, settings: Settings) -> dict[str, nn.Module]:
    """Bicubic, linear, the run's variants, and the weights among `evaluate.external`; raises
    RunError for weights that are made for other sizes than the clips."""
    found = networks(run, settings, ["bicubic", "linear", *artifacts.trained_variants(run)])
    for name, uri in settings.evaluate.external.items():
        if is_weights(uri):
            found[name] = artifacts.load_frozen(uri)
            given = (found[name].scale, found[name].size)
            if given != (settings.clip.scale, settings.clip.size):
                raise RunError(
                    f"evaluate.external {name}: {uri} is for scale {given[0]} and size {given[1]}, "
                    f"the clips have {settings.clip.scale} and {settings.clip.size}"
                )
    return found


def is_weights(uri: str) -> bool:
    """Whether an external method is a network of ours, which is run, and no folder of frames."""
    return uri.endswith(".safetensors")


def restorers(settings: Settings, run: Run, batch_size: int, device: str) -> dict[str, Restore]:
    """How each row of `row_names` gets its faces; the networks are on `device`."""
    size = settings.clip.size
    loaded = all_networks(run, settings)
    found: dict[str, Restore] = {"ground_truth": _truth, "low": partial(_enlarged, size)}
    for name in row_names(settings, run)[len(found) :]:
        if name in loaded:
            found[name] = partial(_restored, loaded[name].to(device), batch_size)
        else:
            found[name] = partial(_external, settings.evaluate.external[name], size)
    return found


def _truth(clips: Arrays, offsets: NDArray[np.int_]) -> Tensor:
    """The sharp frames that a clip holds: the central one, or else its neighbour."""
    centre = (offsets == 0)[:, None, None, None]
    return pictures(np.where(centre, clips["high"], clips["neighbour"]))


def _enlarged(size: int, clips: Arrays, offsets: NDArray[np.int_]) -> Tensor:
    """The low frame as a recogniser's own resizing would show it, bilinear."""
    low = clips["low"]
    frames = low[np.arange(len(low)), low.shape[1] // 2 + offsets]
    given = to_pixels(torch.from_numpy(frames), torch.device("cpu"))
    return functional.interpolate(given, (size, size), mode="bilinear", align_corners=False)


def _restored(
    network: nn.Module, batch_size: int, clips: Arrays, offsets: NDArray[np.int_]
) -> Tensor:
    return restore_clips(network, shifted(clips["low"], offsets), batch_size)


def _external(uri: str, size: int, clips: Arrays, offsets: NDArray[np.int_]) -> Tensor:
    count = clips["low"].shape[1]
    found = torch.full((len(offsets), 3, size, size), torch.nan)
    for place, (clip_id, offset) in enumerate(zip(clips["clip_id"], offsets, strict=True)):
        try:
            given = read_restored(uri, str(clip_id), count // 2 + int(offset), count, size)
        except FrameError:
            continue  # named and counted by exchange.check_restored
        found[place] = pictures(given[None])[0]
    return found
