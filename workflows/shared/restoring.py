"""Stored clips as arrays, restored, as pictures, and described by a recogniser."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.shards.reader import ShardReader
from model.layers.bicubic import Bicubic
from model.metrics import unit_layers
from model.perceptual import FaceRecogniser
from model.pixels import centre_slice, to_pixels

Clips = Mapping[str, Any]
CPU = torch.device("cpu")
COLUMNS = ("clip_id", "identity", "video", "track", "frame", "low", "high")


def validation_clips(
    shards: list[str], limit: int, columns: tuple[str, ...] = COLUMNS
) -> Clips | None:
    """The first `limit` clips of the shards, as arrays; None where there are none.

    Shards are shuffled when written, so that the first clips are a fair sample.
    """
    if not shards:
        return None
    reader = ShardReader(shards, batch_size=64, seed=None, columns=columns, prefetch=0)
    parts: list[dict[str, NDArray[Any]]] = []
    for batch in reader.once():
        parts.append(batch)
        if sum(len(part[columns[0]]) for part in parts) >= limit:
            break
    return {name: np.concatenate([part[name] for part in parts])[:limit] for name in columns}


@torch.no_grad()
def restore_clips(network: nn.Module, low: NDArray[np.uint8], batch_size: int = 16) -> Tensor:
    """Stored N×T×h×w×3 uint8 low frames → N×3×S×S restored faces in [0, 1], on the CPU."""
    device = next((p.device for p in network.parameters()), CPU)
    training = network.training
    network.eval()
    window_of = int(network.num_frames), int(network.frame_step)  # type: ignore[arg-type]
    parts = []
    for start in range(0, len(low), batch_size):
        stored = torch.from_numpy(np.array(low[start : start + batch_size]))
        window = to_pixels(centre_slice(stored, *window_of), device)
        parts.append(network(window).float().clamp(0, 1).cpu())
    network.train(training)
    return torch.cat(parts)


def pictures(high: NDArray[np.uint8]) -> Tensor:
    """Stored N×S×S×3 uint8 → N×3×S×S in [0, 1]."""
    return to_pixels(torch.from_numpy(np.array(high)), CPU)


def shifted(low: NDArray[np.uint8], offsets: NDArray[np.int_]) -> NDArray[np.uint8]:
    """N×T×h×w×3 clips moved by N offsets in frames, so that the frame there becomes the central
    one; beyond the ends the first and last frame are repeated, as streaming inference does."""
    count = low.shape[1]
    frames = np.clip(np.arange(count) + offsets[:, None], 0, count - 1)
    return low[np.arange(len(low))[:, None], frames]


def describe(recogniser: FaceRecogniser, images: Tensor, batch_size: int = 64) -> NDArray[Any]:
    """Descriptors N×D of unit length (fc7 of the central view) of N×3×S×S images in [0, 1]."""
    recogniser.eval()
    device = next((p.device for p in recogniser.parameters()), CPU)
    parts = [
        unit_layers(recogniser, part.to(device), ("fc7",))["fc7"].cpu()
        for part in images.split(batch_size)
    ]
    return torch.cat(parts).numpy()


def bicubic(low: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A low frame h×w×3 at size×size×3, as the first baseline has it."""
    return to_bytes(Bicubic(size // len(low), size).enlarge(pictures(low[None])))[0]


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """N×3×S×S in [0, 1] → N×S×S×3 uint8, rounded."""
    rounded = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).numpy())
