"""The rows of every table: truth, low frame, bicubic, linear, trained variants, other methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from infra.errors import RunError
from infra.runs import Run
from infra.settings.data import ClipSettings
from model.pixels import to_pixels
from workflows.evaluation.exchange import FrameError, read_restored
from workflows.shared import artifacts
from workflows.shared.networks import load_frozen, load_methods
from workflows.shared.restoring import pictures, restore_clips, shifted

Arrays = dict[str, NDArray[Any]]
# Clips B as stored, and B offsets in frames from their centres → B×3×S×S in [0, 1] on the CPU; NaN
# where the method has no picture.
Restore = Callable[[Arrays, NDArray[np.int_]], Tensor]
BASELINES = ("ground_truth", "low", "bicubic", "linear")


@dataclass(frozen=True)
class Methods:
    """The rows of a run's tables: baselines, trained variants, and other methods by name, each a
    folder of frames or a file of weights, for clips of these settings."""

    run: Run
    clip: ClipSettings
    external: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """All rows in their order."""
        return [*BASELINES, *artifacts.trained_variants(self.run), *self.external]

    def networks(self) -> dict[str, nn.Module]:
        """Bicubic, linear, the run's variants, and the weights among the other methods; raises
        RunError for weights that are made for other sizes than the clips."""
        variants = ["bicubic", "linear", *artifacts.trained_variants(self.run)]
        found = load_methods(self.run, variants, self.clip)
        for name, uri in self.external.items():
            if is_weights(uri):
                found[name] = load_frozen(uri)
                given = (found[name].scale, found[name].size)
                if given != (self.clip.scale, self.clip.size):
                    raise RunError(
                        f"evaluate.external {name}: {uri} is for scale {given[0]} and size "
                        f"{given[1]}, the clips have {self.clip.scale} and {self.clip.size}"
                    )
        return found

    def restorers(self, batch_size: int, device: str) -> dict[str, Restore]:
        """How each row gets its faces; the networks are on `device`."""
        size, loaded = self.clip.size, self.networks()
        found: dict[str, Restore] = {"ground_truth": _truth, "low": partial(_enlarged, size)}
        for name in self.names[len(found) :]:
            if name in loaded:
                found[name] = partial(_restored, loaded[name].to(device), batch_size)
            else:
                found[name] = partial(_external, self.external[name], size)
        return found


def is_weights(uri: str) -> bool:
    """Whether an external method is a network of ours, which is run, and no folder of frames."""
    return uri.endswith(".safetensors")


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
