"""How films become clips, as values: what a clip is, how faces are found, what is refused.

The defaults here are those of the settings, which take them from here.
"""

from dataclasses import dataclass
from typing import Any, Literal

Grid = Literal["camera", "frame", "face"]
Faces = Literal["aligned", "detect"]
Damage = Literal["refuse", "split"]


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


@dataclass(frozen=True)
class Detection:
    """How the faces of a film are found, and where the pixels of a small camera lie on them.

    `faces` are looked for (`detect`, by the YuNet file `model` or, where None, OpenCV's cascade) or
    each frame is a crop already (`aligned`), of which the centred square is taken, `centre` times
    as wide as the shorter side. `context` is the side of the crop over that of the face's box,
    `stride` the frames from one detection to the next, `min_face` the smallest face [source px].
    Boxes are smoothed over 2·`smoothing` + 1 detections; a face that is missed in more than
    `max_missed` in a row is lost, and one that is seen in fewer than `min_seen` is none. `grid` and
    `shake` are explained in `tracking.camera`.
    """

    faces: Faces = "aligned"
    model: str | None = None
    context: float = 1.3
    stride: int = 5
    min_face: int = 32
    smoothing: int = 2
    max_missed: int = 1
    min_seen: int = 3
    centre: float = 1.0
    grid: Grid = "camera"
    shake: float = 0.0


@dataclass(frozen=True)
class Cutting:
    """Which clips a track gives: `clip_stride` frames from one centre to the next, none whose high
    frame is less sharp than `min_sharpness`; with `bursts` each face of a still gives one, by
    motion that is made; with `flow` the motion of all others is measured."""

    clip_stride: int = 4
    min_sharpness: float = 0.0
    bursts: bool = False
    flow: bool = True


@dataclass(frozen=True)
class Limits:
    """Bounds on one source: `max_pixels` width·height of a frame, `max_seconds` its length when
    played, `time_limit` seconds by the clock from its opening to its last frame, `max_memory` what
    its worker may take for it [MB]; and what is done about `damage` to a video: all of it is
    refused, or broken frames are left out and a shot begins behind them."""

    max_pixels: int = 8192 * 4320
    max_seconds: float = 4 * 3600.0
    time_limit: float = 2 * 3600.0
    max_memory: int = 4096
    damage: Damage = "refuse"
