"""What an opened source gives, the bounds that hold for it, and the error that refuses it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infra.errors import InputError
from infra.extraction import Limits

Frame = NDArray[np.uint8]  # H×W×3 RGB
Boxes = NDArray[np.float32]  # N×4: x, y, width, height in pixels of the frame


TOO_LARGE = "a frame of too many pixels"  # kinds of error
DIFFERING = "frames of differing size"

# Why a shot begins at a frame, whatever is seen.
MISSING, PAUSE, CLOCK, DAMAGE = "frames missing", "pause", "clock", "damage"


class DecodeError(InputError):
    """A source that cannot be read whole; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Footage:
    """An open source: `rate` in frames/s, `width` and `height` in pixels as shown (rotation
    applied), and `frames()`, which streams H×W×3 uint8 RGB once from the first to the last.

    Pixels are square as shown. A stored one is `pixel_aspect` times as wide as it is high there:
    its smaller side was enlarged.

    `breaks` tells of a frame's index why a shot begins with it whatever is seen, such as frames
    that are missing before it. `times` are those at which frames are shown, in seconds since the
    first; empty where frame i is shown at i / `rate`. `counts` says how many frames needed a
    treatment. The three are filled on the way: before a frame comes, what is said of it is there.
    `faces` holds the boxes N×4 (x, y, width, height) of each frame where the source tells them.

    What runs within `with footage.pause():` does not count as time that the footage takes, such as
    a wait for whoever is not ready for more of it."""

    name: str
    rate: Fraction
    width: int
    height: int
    frames: Callable[[], Iterator[Frame]]
    breaks: dict[int, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    faces: tuple[Boxes, ...] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    pixel_aspect: float = 1.0
    pause: Callable[[], AbstractContextManager[None]] = nullcontext

    def time(self, index: int) -> float:
        """When the frame `index`, which has been given, is shown [s since the first]."""
        return self.times[index] if self.times else float(index / self.rate)


class Bounds:
    """`limits` at work on the source `name`, whose clock starts here; every check raises
    `DecodeError` with the setting to raise."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self.deadline = time.monotonic() + limits.time_limit

    def check_size(self, width: int, height: int, label: str = "") -> None:
        """Refuses a frame of too many pixels; call it before the frame is decoded."""
        if width * height > self.limits.max_pixels:
            raise DecodeError(
                f"{label or self.name}: a frame of {width}×{height} is more than "
                f"{self.limits.max_pixels} pixels; scale it down or raise max_pixels",
                TOO_LARGE,
            )

    def check_length(self, seconds: float) -> None:
        """Refuses footage that plays for too long."""
        if seconds > self.limits.max_seconds:
            raise DecodeError(
                f"{self.name}: plays for {seconds:.0f} s or more, longer than "
                f"{self.limits.max_seconds:.0f} s; cut it or raise max_seconds",
                "plays for too long",
            )

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stops the clock while the block runs."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.deadline += time.monotonic() - began

    def check_time(self) -> None:
        """Ends a source that takes too long to go through."""
        if time.monotonic() > self.deadline:
            raise DecodeError(
                f"{self.name}: took longer than {self.limits.time_limit:g} s; cut it, scale it "
                "down or raise time_limit",
                "took too long",
            )
