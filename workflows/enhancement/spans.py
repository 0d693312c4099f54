"""A film in spans of frames, so that one film uses many cores and no process holds all of it."""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Footage
from datasets.sources.layouts import Source


def _no_frames() -> NDArray[np.uint8]:
    return np.zeros((0, 0, 0, 3), np.uint8)


def _no_figures() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class TrackPart:
    """N consecutive frames of one face within a span: the frames `first`, `first` + 1, … of the
    film, each shown at one of `times` [s since the film's first frame].

    `crops` are the squares that were cut and `faces` those of the smoothed detections, N×3 (x, y,
    side) in pixels of the film as it is shown, (0, 0) at the corner of its first pixel. `scores`
    are the detector's, in [0, 1], NaN where it tells none. `low` is what the network sees,
    N×h×h×3 uint8, the film's own pixels where it is `native`, else degraded; `sharpness` is that of
    `low`. `begins` and `ends` say whether the track does with this part; where it goes on,
    `before` and `after` are its next low frames beyond, as many as a window reaches. `break_before`
    says why a shot begins with the track whatever is seen, as `Footage.breaks` does.

    Of a part that is restored, `restored` is N×S×S×3 uint8, the same square, `consistency` the
    PSNR [dB] on luma of that, made as small as `low`, against `low`, and `before` and `after` are
    empty.
    """

    track: int
    first: int
    begins: bool
    ends: bool
    native: bool
    break_before: str
    times: NDArray[np.float64]
    crops: NDArray[np.float64]
    faces: NDArray[np.float64]
    scores: NDArray[np.float32]
    low: NDArray[np.uint8]
    restored: NDArray[np.uint8] = field(default_factory=_no_frames)
    consistency: NDArray[np.float32] = field(default_factory=_no_figures)
    sharpness: NDArray[np.float32] = field(default_factory=_no_figures)
    before: NDArray[np.uint8] = field(default_factory=_no_frames)
    after: NDArray[np.uint8] = field(default_factory=_no_frames)


@dataclass(frozen=True)
class Span:
    """The `frames` frames of a film from `first` on, and the parts of all tracks that lie there,
    by number of their track; every frame of the film lies in one span, spans come in order."""

    number: int
    first: int
    frames: int
    parts: list[TrackPart] = field(default_factory=list)


@dataclass(frozen=True)
class Film:
    """The film that spans are of: usual `rate` [frames/s], size as shown [px]."""

    source: Source
    rate: Fraction
    width: int
    height: int
    pixel_aspect: float

    @classmethod
    def of(cls, source: Source, footage: Footage) -> Self:
        """What is known of a source that is open."""
        return cls(source, footage.rate, footage.width, footage.height, footage.pixel_aspect)


@dataclass(frozen=True)
class Model:
    """A network: the URI and SHA-256 of its weights, what their header says, the side of its input
    [px] and how many frames its window reaches to a side."""

    uri: str
    sha256: str
    variant: str
    scale: int
    low_size: int
    reach: int

    def __str__(self) -> str:
        return f"{self.variant} ×{self.scale}, weights SHA-256 {self.sha256}"


@dataclass
class Verdict:
    """What the reading of a whole film came to: how many `spans`, `frames` and `tracks` it has, how
    long it plays [s], how many tracks were `rejected` and frames `treated`, by reason, and the
    `seconds` that it took. `reason` and `kind` say why it gives nothing, "" where it does."""

    spans: int = 0
    frames: int = 0
    tracks: int = 0
    plays: float = 0.0
    rejected: Counter[str] = field(default_factory=Counter)
    treated: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    reason: str = ""
    kind: str = ""
