"""A clip: one training example, a row of a shard."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClipId(NamedTuple):
    """What tells a clip from all others, written `video#track@frame`: the path of the video under
    the source root, the number of the track in it and the index of the central frame, from 0."""

    video: str
    track: int
    frame: int

    def __str__(self) -> str:
        return f"{self.video}#{self.track}@{self.frame}"

    @classmethod
    def parse(cls, text: str) -> "ClipId":
        """The id that `text` is; the name of the video may hold # and @. Raises ValueError."""
        found = re.fullmatch(r"(.*)#(\d+)@(\d+)", text, re.DOTALL)
        if found is None:
            raise ValueError(f"clip id {text!r}: expected video#track@frame")
        return cls(found[1], int(found[2]), int(found[3]))


def other_person(video: str, number: int) -> str:
    """The identity of a person of a film who is not the film's; no folder can be called so."""
    return f"{video}/#{number}"


def is_other_person(identity: str) -> bool:
    """Whether an identity is such a one, and not the name of a folder."""
    return "/" in identity


@dataclass(frozen=True)
class Clip:
    """One training example, a row of a shard; `shards.schema.COLUMNS` says what each field is."""

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
