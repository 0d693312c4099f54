"""Finds the faces of a film that a network was made for, as small as it wants them, in spans."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datasets.clips.sharpness import sharpness
from datasets.degrade import degrade
from datasets.sources.footage import Footage, Frame
from datasets.tracking.boxes import Square
from datasets.tracking.camera import NATIVE, Placed
from datasets.tracking.crops import crop, face_tracks
from infra.extraction import Degradation, Detection, Geometry
from workflows.enhancement.spans import Span, TrackPart
from workflows.shared.source_rows import face_detector

TOO_LARGE = "face over"  # begins the reason for which a track is left out
LOOK = 250  # frames from one word of how far the reading is to the next
SPAN = 512  # faces in a span, or as many more as its last frame has


@dataclass(frozen=True)
class Wanted:
    """Which faces are wanted, and how: the sides of the networks' `inputs` [px] and how many frames
    the longest window `reach`es to a side; larger faces `degraded` to the input of `geometry`, or
    left out."""

    geometry: Geometry
    detection: Detection
    degradation: Degradation
    inputs: tuple[int, ...]
    reach: int
    degraded: bool

    @property
    def largest(self) -> int:
        """The side [source px] of the largest face that is given to one of the `inputs`."""
        context = 1.0 if self.detection.faces == "aligned" else self.detection.context
        return int(NATIVE * max(self.inputs) / context)


def spans_of(
    footage: Footage,
    wanted: Wanted,
    rejected: Counter[str],
    bare: Callable[[int], None] = lambda frames: None,
) -> Iterator[Span]:
    """The spans of open `footage`, which is read once, whole; only what a network sees is kept.

    A face goes to that of the inputs which fits it (`camera`). Tracks that are not wanted are
    counted in `rejected`, as those are that no track is made of (`tracks.follow`). Where spans end
    depends on the film alone. A film without a face has one span. `bare` is told now and then how
    many of the frames that were read last have no wanted face.
    """
    # As preprocess places them, but for the shake: a film is restored as it was filmed.
    detection = replace(wanted.detection, shake=0.0)
    frames = _Counted(footage, bare)
    faces = face_tracks(
        replace(footage, frames=frames), face_detector(detection), detection,
        wanted.geometry.low_size, inputs=wanted.inputs, rejected=rejected,
    )  # fmt: skip
    builder, large = _Spans(wanted.reach), set[int]()
    for placed in faces:
        if placed.native or wanted.degraded:
            frames.known = placed.face.index + 1
            yield from builder.take(placed, _low(placed, wanted), footage)
        else:
            large.add(placed.face.track)
    yield from builder.rest(frames.count)
    if large:
        rejected[f"{TOO_LARGE} {wanted.largest} px"] += len(large)


def _low(placed: Placed, wanted: Wanted) -> NDArray[np.uint8]:
    """What the network sees of a face."""
    image, geometry = placed.face.image, wanted.geometry
    if placed.native:
        return crop(image, placed.box, placed.native)
    high = crop(image, placed.box, geometry.size)
    return degrade(high, geometry.scale, wanted.degradation.blur_sigma)


@dataclass
class _Counted:
    """The frames of footage, and how many of them were given; of these, those from the last face,
    the one before frame `known`, on."""

    footage: Footage
    bare: Callable[[int], None]
    count: int = 0
    known: int = 0

    def __call__(self) -> Iterator[Frame]:
        for frame in self.footage.frames():
            self.count += 1
            if self.count % LOOK == 0:
                self.bare(self.count - self.known)
            yield frame


@dataclass
class _Track:
    """The frames of a track from `first` on that are still needed; `begins` with them or before."""

    first: int
    begun: int
    native: bool
    break_before: str
    times: list[float] = field(default_factory=list)
    crops: list[Square] = field(default_factory=list)
    faces: list[Square] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    low: list[NDArray[np.uint8]] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The index of the frame behind the last."""
        return self.first + len(self.low)

    def part(self, number: int, first: int, end: int, reach: int) -> TrackPart:
        """Its frames from `first` to before `end`, where it has some."""
        begin, end = max(first, self.first), min(end, self.end)
        near = slice(begin - self.first, end - self.first)
        low = self.low[near]
        return TrackPart(
            number, begin, begin == self.begun, end == self.end, self.native, self.break_before,
            np.array(self.times[near]), np.array(self.crops[near], float).reshape(-1, 3),
            np.array(self.faces[near], float).reshape(-1, 3),
            np.array(self.scores[near], np.float32), np.stack(low),
            sharpness=np.array([sharpness(frame) for frame in low], np.float32),
            before=_stack(self.low[max(near.start - reach, 0) : near.start], low[0]),
            after=_stack(self.low[near.stop : near.stop + reach], low[0]),
        )  # fmt: skip

    def forget(self, index: int) -> None:
        """Drop the frames before `index`."""
        spare = max(0, index - self.first)
        for values in (self.times, self.crops, self.faces, self.scores, self.low):
            del values[:spare]
        self.first += spare


def _stack(frames: Sequence[NDArray[np.uint8]], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack(frames) if frames else np.zeros((0, *like.shape), np.uint8)


@dataclass
class _Spans:
    """Gathers faces, in order of frame, and gives a span when all that its tracks need is there."""

    reach: int
    number: int = 0
    first: int = 0  # frame of the next span to be given
    tracks: dict[int, _Track] = field(default_factory=dict)
    ends: deque[int] = field(default_factory=deque)  # of spans that wait
    count: int = 0  # faces in the span that is still filled

    def take(self, placed: Placed, low: NDArray[np.uint8], footage: Footage) -> Iterator[Span]:
        """Take the next face; gives the spans that are complete with the frames before it."""
        face = placed.face
        if self.count >= SPAN and face.index > self._newest():
            self.ends.append(face.index)
            self.count = 0
        # One frame more than the windows need tells which tracks have ended.
        while self.ends and face.index >= self.ends[0] + max(self.reach, 1):
            yield self._given(self.ends.popleft())
        track = self.tracks.get(face.track)
        if track is None:
            breaks = footage.breaks.get(face.index, "")
            track = _Track(face.index, face.index, bool(placed.native), breaks)
            self.tracks[face.track] = track
        track.times.append(footage.time(face.index))
        track.crops.append(placed.box)
        track.faces.append(face.box)
        track.scores.append(face.score)
        track.low.append(low)
        self.count += 1

    def rest(self, frames: int) -> Iterator[Span]:
        """The spans that are left, of a film of so many frames."""
        while self.ends:
            yield self._given(self.ends.popleft())
        yield self._given(frames)

    def _newest(self) -> int:
        return max((track.end - 1 for track in self.tracks.values()), default=-1)

    def _given(self, end: int) -> Span:
        parts = [
            track.part(number, self.first, end, self.reach)
            for number, track in sorted(self.tracks.items())
            if track.first < end and track.end > self.first
        ]
        span = Span(self.number, self.first, end - self.first, parts)
        for number, track in list(self.tracks.items()):
            if track.end <= end:
                del self.tracks[number]
            else:
                track.forget(end - self.reach)
        self.number, self.first = self.number + 1, end
        return span
