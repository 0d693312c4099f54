"""Finds the faces of a film that a network was made for, as small as it wants them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datasets.degrade import degrade
from datasets.sources.footage import Footage
from datasets.tracking.camera import NATIVE
from datasets.tracking.crops import crop, face_tracks
from infra.extraction import Degradation, Detection, Geometry
from workflows.shared.source_rows import face_detector

TOO_LARGE = "face over"  # begins the reason for which a track is left out


@dataclass
class Track:
    """The low-resolution frames h×h×3 of one face, 768 bytes a frame at 16×16, for the network
    whose input is `low_size` pixels wide; `native` where they are the film's own pixels.

    `first` is the index of the first frame in the film, and `times` are those of all frames [s]
    since the film's first; `break_before` says why a shot begins with the track whatever is seen,
    as `Footage.breaks` does.
    """

    first: int
    low_size: int
    native: bool
    break_before: str = ""
    times: list[float] = field(default_factory=list)
    low: list[NDArray[np.uint8]] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)


def low_tracks(
    footage: Footage,
    geometry: Geometry,
    detection: Detection,
    degradation: Degradation,
    inputs: Sequence[int],
    degraded: bool,
    rejected: Counter[str],
) -> dict[int, Track]:
    """The tracks of open `footage` by number. It is read once, whole; only what a network sees is
    kept.

    A track goes to that of the `inputs` (sides in pixels) which fits it (`camera`). Those of larger
    faces are `degraded` to that of `geometry`, or left out and counted in `rejected`, as
    those are that no track is made of (`tracks.follow`).
    """
    # As preprocess places them, but for the shake: a film is restored as it was filmed.
    detection = replace(detection, shake=0.0)
    faces = face_tracks(
        footage, face_detector(detection), detection, geometry.low_size,
        inputs=tuple(inputs), rejected=rejected,
    )  # fmt: skip
    tracks: dict[int, Track] = {}
    large: set[int] = set()
    for placed in faces:
        face, size = placed.face, placed.native
        if not size and not degraded:
            large.add(face.track)
            continue
        track = tracks.setdefault(
            face.track,
            Track(
                face.index, size or geometry.low_size, bool(size),
                footage.breaks.get(face.index, ""),
            ),
        )  # fmt: skip
        track.times.append(footage.time(face.index))
        if size:
            low = crop(face.image, placed.box, size)
        else:
            high = crop(face.image, placed.box, geometry.size)
            low = degrade(high, geometry.scale, degradation.blur_sigma)
        track.low.append(low)
        track.sides.append(placed.box[2])
    if large:
        rejected[f"{TOO_LARGE} {largest_face(inputs, detection)} px"] += len(large)
    return tracks


def largest_face(inputs: Sequence[int], detection: Detection) -> int:
    """The side [source px] of the largest face that is given to one of the `inputs`."""
    context = 1.0 if detection.faces == "aligned" else detection.context
    return int(NATIVE * max(inputs) / context)
