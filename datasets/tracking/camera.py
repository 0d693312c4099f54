"""Where the pixels of a small camera lie in a film: the boxes that crops are cut at.

Several low frames tell more than one by how the face moves over the pixels of the camera, so these
must not ride on the face. Three grids of low pixels:

- camera: stands still in the film. A crop's corner is a whole multiple of the pitch p = side /
  low_size (source pixels a low pixel), which is constant over a track. Where the face's side leaves
  [1/1.25, 1.25] times that of the track's first box the track ends and another begins.
- frame: each box as it is told or detected, neither smoothed nor interpolated.
- face: rides on the smoothed box, so that the face hardly moves over it.

A shake s_t (low pixels, `hand.hand`) is what the hand that holds the camera does: its pixels, and
so the crop, are moved by s_t·p in the film. The corner of `camera` for a box that begins at x is
(n + s_t)·p with n = round(x/p − s_t).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from datasets.hand import hand
from datasets.tracking.boxes import Square, widen
from datasets.tracking.tracks import TrackFrame
from infra.extraction import Grid
from infra.text import hashed

DRIFT = 1.25  # a face that has grown or shrunk by more is another track
CLOSE = 1.125  # a native crop this near to the low size is that block of source pixels itself
NATIVE = 1.75  # a crop up to this many times as wide as the largest input is made as small as that
DISTANCES = (1, 2, 4, 8, 12)  # frames from the centre at which the motion of the face is measured


@dataclass(frozen=True)
class Camera:
    """The small camera: its `grid`, the crop's side in low pixels, `shake` in low pixels (RMS an
    axis) and the `seed` that this is drawn from. A crop that is small enough for one of the
    `inputs` [pixels a side] is cut at whole source pixels for it, whatever the grid."""

    grid: Grid
    low_size: int
    shake: float = 0.0
    seed: int = 0
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A face, the `box` (x, y, side) to cut in pixels of the film, the `offset` (x, y) of the face
    from the centre of the box in low pixels, and the input that it is `native` to, else 0."""

    face: TrackFrame
    box: Square
    offset: tuple[float, float]
    native: int


@dataclass(frozen=True)
class _Track:
    """What is settled by a track's first box: its `number`, the `side` of that box, the side that
    is `cut` (0: each box's own) from corners at multiples of `step` source pixels, the input that
    it is `native` to, its `shake`."""

    number: int
    side: float
    cut: float
    step: float
    native: int
    shake: Iterator[NDArray[np.float64]]


def place(
    faces: Iterable[TrackFrame], camera: Camera, context: float, rate: float, name: str
) -> Iterator[Placed]:
    """Yields each of `faces` with the box that the `camera` cuts, `context` times the face's wide.

    Tracks are numbered anew from 0, in the order in which they begin. `rate` is in frames/s; the
    shake of a track comes from the camera's seed, the `name` of the film and the track's number.
    """
    numbers = count()
    tracks: dict[int, _Track] = {}
    for face in faces:
        box = widen(face.box, context)
        track = tracks.get(face.track)
        if track is None:
            track = tracks[face.track] = _begin(next(numbers), box[2], camera, rate, name)
        grown = box[2] / track.side
        last = face.last or (track.cut > 0 and not 1 / DRIFT <= grown <= DRIFT)
        if last:
            del tracks[face.track]
        cut, offset = _cut(track, box, camera.low_size)
        yield Placed(replace(face, track=track.number, last=last), cut, offset, track.native)


def moves(offsets: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Returns D×2: how far the face moves over the low grid from the central frame of a clip to the
    frames at each of `DISTANCES`, as sum of squares [low pixels²] and number of components.

    `offsets` are those of the clip's frames, an odd number.
    """
    places = np.asarray(offsets, float)
    radius = len(places) // 2
    apart = ((places - places[radius]) ** 2).sum(1)
    near = [distance for distance in DISTANCES if distance <= radius]
    found = np.zeros((len(DISTANCES), 2))
    for row, distance in enumerate(near):
        found[row] = apart[radius - distance] + apart[radius + distance], 4
    return found


def _begin(number: int, side: float, camera: Camera, rate: float, name: str) -> _Track:
    chance = np.random.default_rng(hashed(camera.seed, f"{name}#{number}", "shake"))
    shake = hand(camera.shake, rate, chance)
    if small := _input_for(side, camera.inputs):
        close = small / CLOSE <= side <= small * CLOSE
        return _Track(number, side, small if close else max(round(side), 1), 1.0, small, shake)
    if camera.grid == "camera":
        return _Track(number, side, side, side / camera.low_size, 0, shake)
    return _Track(number, side, 0.0, 0.0, 0, shake)


def _input_for(side: float, inputs: Iterable[int]) -> int:
    """The smallest of the `inputs` that shows all of a crop, else the largest if this is no more
    than `NATIVE` times as small; else 0."""
    sizes = sorted(inputs)
    whole = [size for size in sizes if side <= CLOSE * size]
    return whole[0] if whole else max((size for size in sizes if side <= NATIVE * size), default=0)


def _cut(track: _Track, box: Square, low_size: int) -> tuple[Square, tuple[float, float]]:
    """The box that is cut, and how far the face's centre lies from its centre, in low pixels."""
    side = track.cut or box[2]
    pitch = side / low_size
    centre = np.array(box[:2]) + box[2] / 2
    shaken = next(track.shake) * pitch
    corner = np.array(box[:2])
    if track.cut:
        nearest = (centre - side / 2 - shaken) / track.step
        corner = np.floor(nearest + 0.5) * track.step
    corner = corner + shaken
    x, y = corner.tolist()
    right, down = ((centre - corner - side / 2) / pitch).tolist()
    return (x, y, side), (right, down)
