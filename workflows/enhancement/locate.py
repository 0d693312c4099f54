"""Finds the faces of a film and makes them as small as what the network was trained on."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datasets.degrade import degrade
from datasets.sources.footage import Footage
from datasets.tracking.crops import crop, face_tracks
from infra.extraction import Degradation, Detection, Geometry
from workflows.shared.source_rows import face_detector

# A crop of at most this many times the network's input side is taken as it is.
NATIVE = 1.5


@dataclass
class Track:
    """The low-resolution frames h×w×3 of one face; 768 bytes a frame at 16×16.

    `first` is the index of the first frame in the film, and `times` are those of all frames [s]
    since the film's first; `break_before` says why a shot begins with the track whatever is seen,
    as `Footage.breaks` does.
    """

    first: int
    native: bool
    break_before: str = ""
    times: list[float] = field(default_factory=list)
    low: list[NDArray[np.uint8]] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)


def low_tracks(
    footage: Footage, geometry: Geometry, detection: Detection, degradation: Degradation
) -> dict[int, Track]:
    """The tracks of open `footage` by number. It is read once, whole; only what the network sees is
    kept."""
    # As preprocess places them, but for the shake: a film is restored as it was filmed.
    detection = replace(detection, shake=0.0)
    faces = face_tracks(
        footage, face_detector(detection), detection, geometry.low_size, native=NATIVE
    )
    tracks: dict[int, Track] = {}
    for placed in faces:
        face = placed.face
        track = tracks.setdefault(
            face.track,
            Track(face.index, placed.native, footage.breaks.get(face.index, "")),
        )
        track.times.append(footage.time(face.index))
        if placed.native:
            low = crop(face.image, placed.box, geometry.low_size)
        else:
            high = crop(face.image, placed.box, geometry.size)
            low = degrade(high, geometry.scale, degradation.blur_sigma)
        track.low.append(low)
        track.sides.append(placed.box[2])
    return tracks
