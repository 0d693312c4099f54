"""A clip: one training example, a row of a shard."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """One training example, a row of a shard; `shards.files.COLUMNS` says what each field is."""

    clip_id: str
    identity: str
    video: str
    track: int
    frame: int
    fps: float
    low: NDArray[np.uint8]  # T×h×w×3
    high: NDArray[np.uint8]  # S×S×3
    neighbour: NDArray[np.uint8]  # S×S×3
    neighbour_offset: int
    boxes: NDArray[np.float32]  # T×4
    motion: NDArray[np.float16]  # T×64×2
    order: int
    sharpness: float
    degradation: str
