"""What a clip is: its sizes, and how its low frames are made of the sharp ones."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Geometry:
    """The sizes of a clip: side of the high frame [px], high pixels a low one, low frames (odd)."""

    size: int
    scale: int
    num_frames: int

    @property
    def low_size(self) -> int:
        """Side of a low frame in pixels."""
        return self.size // self.scale

    @property
    def radius(self) -> int:
        """How many frames the clip reaches to each side of its central one."""
        return self.num_frames // 2


@dataclass(frozen=True)
class Degradation:
    """How low frames are made: `paper` by a blur of `blur_sigma` high pixels (None: bicubic), the
    same for all; `realistic` by a blur, noise and codec drawn for each clip."""

    kind: Literal["paper", "realistic"]
    blur_sigma: float | None

    def record(self) -> dict[str, Any]:
        """What is written down of it; of `realistic` the kind alone, since the rest is drawn."""
        if self.kind == "realistic":
            return {"kind": "realistic"}
        if self.blur_sigma is None:
            return {"kind": "bicubic"}
        return {"kind": "paper", "blur_sigma": self.blur_sigma}
