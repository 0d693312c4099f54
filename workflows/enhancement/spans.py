"""A film in spans of frames, so that one film uses many cores and no process holds all of it."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from datasets.sources.layouts import Source


@dataclass(frozen=True)
class TrackPart:
    """N consecutive frames of one face within a span: the frames `first`, `first` + 1, … of the
    film, each shown at one of `times` [s since the film's first frame].

    `crops` are the squares that were cut and `faces` those of the smoothed detections, N×3 (x, y,
    side) in pixels of the film as it is shown, (0, 0) at the corner of its first pixel. `scores`
    are the detector's, in [0, 1], NaN where it tells none. `low` is what the network saw,
    N×h×h×3 uint8, cut and resized to `native` size or degraded; `restored` what it made of it,
    N×S×S×3 uint8, the same square. `consistency` is the PSNR [dB] on luma of what is `restored`,
    made as small as `low`, against `low`, and `sharpness` that of `low`.

    `begins` and `ends` say whether the track does with this part.
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
    restored: NDArray[np.uint8]
    consistency: NDArray[np.float32]
    sharpness: NDArray[np.float32]


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
