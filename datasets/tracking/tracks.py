"""Follows faces through the frames of one video in a single pass with a bounded delay.

Faces are looked for in every `stride`-th frame of a shot and in its last; these are its keys: in
every `SEARCH`-th of them everywhere, in the others around the known faces. One that is new is
followed back through the keys that still wait. Boxes are matched from key to key, smoothed over
`2·smoothing + 1` keys with binomial weights, and interpolated linearly between keys. So a frame
waits for at most (max(`smoothing`, `min_seen` − 1) + `max_missed` + 1)·`stride` + 1 later ones,
whatever the length of the film.
"""

from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import nan

from datasets.sources.footage import Boxes, Frame
from datasets.tracking.boxes import Seen, Square, continues, overlap, same_face, separate
from datasets.tracking.cuts import mark_cuts
from datasets.tracking.detectors import Detector
from datasets.tracking.face_track import FaceTrack
from datasets.tracking.search import Search
from infra.extraction import Detection

SHRUNKEN = 0.8  # of `min_face`: a face that has been larger is followed down to this
SEARCH = 4  # keys from one search of whole frames to the next
TOO_SMALL = "face under"  # begins the reason of rejection of tracks that are never given a number
SELDOM_SEEN = "seen in fewer than"  # likewise


@dataclass(frozen=True)
class TrackFrame:
    """One face in one frame: number of its `track` and `index` of the frame, both from 0, smoothed
    face `box` (x, y, side) in pixels, the whole frame H×W×3 uint8, whether the track ends, or ends
    because the face is `lost` before its shot does, and the detector's `score` in [0, 1], linear
    between keys, NaN where none is told."""

    track: int
    index: int
    box: Square
    image: Frame
    last: bool
    lost: bool = False
    score: float = nan


@dataclass
class _Shot:
    """The frames between two cuts that still wait, and the tracks that may touch them."""

    keys: list[int] = field(default_factory=list)
    tracks: list[FaceTrack] = field(default_factory=list)
    waiting: deque[tuple[int, Frame]] = field(default_factory=deque)
    emitted: int = 0  # number of keys whose frames are out


def follow(
    frames: Iterable[Frame],
    detect: Detector | Sequence[Boxes],
    detection: Detection,
    rejected: Counter[str] | None = None,
    breaks: Container[int] = (),
) -> Iterator[TrackFrame]:
    """Yields the faces of `frames` (H×W×3 uint8 RGB of one size), in order of frame and track.

    `detect` finds faces, or is the boxes N×4 (x, y, width, height) of every frame where these are
    known; of `detection` its `stride`, `min_face`, `smoothing`, `max_missed` and, where faces are
    looked for, `min_seen` count. `breaks` are the indices of frames before which others are
    missing. The frames of a track are consecutive. A track ends at a cut, at a jump (what
    `boxes.continues` denies), and when the face is missing in more than `max_missed` keys in a row,
    then in the last key in which it was seen. A track that is at no time `min_face` pixels wide is
    not given and adds one to `rejected["face under N px"]`, one that is seen in fewer than
    `min_seen` keys to `rejected["seen in fewer than N frames"]`. Raises `ValueError` for a `stride`
    under 1.
    """
    if detection.stride < 1:
        raise ValueError(f"stride {detection.stride}: must be at least 1")
    look = Search(detect, detection.min_face) if isinstance(detect, Detector) else detect
    follower = _Follower(look, detection, Counter() if rejected is None else rejected)
    for index, (frame, last) in enumerate(mark_cuts(frames, breaks)):
        yield from follower.add(index, frame, last)


def follow_whole(
    frames: Iterable[Frame], centre: float = 1.0, breaks: Container[int] = ()
) -> Iterator[TrackFrame]:
    """Yields the centred square of every frame, `centre` times as wide as the first one's shorter
    side, as one track up to the next cut or of `breaks`: for footage that is already cropped to a
    face.
    """
    number, side = 0, 0.0
    for index, (frame, last) in enumerate(mark_cuts(frames, breaks)):
        height, width = frame.shape[:2]
        # Aligned frames of one film differ in size, and the face in them does not.
        side = side or min(height, width) * centre
        box = ((width - side) / 2, (height - side) / 2, side)
        yield TrackFrame(number, index, box, frame, last)
        number += last


@dataclass
class _Follower:
    """The state of `follow`: takes frames one by one and gives those whose boxes are settled."""

    look: Search | Sequence[Boxes]
    detection: Detection
    rejected: Counter[str]
    shot: _Shot = field(default_factory=_Shot)
    numbered: int = 0

    def add(self, index: int, frame: Frame, last: bool) -> Iterator[TrackFrame]:
        """Takes the next frame, the `last` of its shot or not."""
        shot = self.shot
        shot.waiting.append((index, frame))
        start = shot.keys[0] if shot.keys else index
        if last or (index - start) % self.detection.stride == 0:
            shot.keys.append(index)
            self._match(len(shot.keys) - 1, self._boxes(index, frame))
            settled = len(shot.keys) - (0 if last else self._delay())
            while shot.emitted < settled:
                yield from self._emit(last)
                shot.emitted += 1
            self._leave(shot.emitted - 1)
        if last:
            self._leave(len(shot.keys))
            self.shot = _Shot()

    def _boxes(self, index: int, frame: Frame) -> list[Seen]:
        """The faces of the newest key."""
        if not isinstance(self.look, Search):
            return separate(self.look[index])
        key = len(self.shot.keys) - 1
        alive = [track.boxes[-1] for track in self.shot.tracks if not self._over(track)]
        known = separate(self.look.around(frame, alive))
        if key % SEARCH:
            return known
        found = separate(self.look.everywhere(frame, anew=key == 0))
        return known + [f for f in found if not any(same_face(k.box, f.box) for k in known)]

    def _match(self, key: int, faces: list[Seen]) -> None:
        """Gives each face to the track that it continues, nearest first, or begins a new one."""
        alive = [track for track in self.shot.tracks if not self._over(track)]
        pairs = sorted(
            (-overlap(track.boxes[-1], box), i, j)
            for i, track in enumerate(alive)
            for j, (box, _) in enumerate(faces)
            if not self._too_small(track, box) and continues(track.boxes[-1], box)
        )
        seen: set[int] = set()
        taken: set[int] = set()
        for _, i, j in pairs:
            if i not in seen and j not in taken:
                seen.add(i)
                taken.add(j)
                alive[i].see(faces[j])
                if alive[i].small and faces[j].box[2] >= self.detection.min_face:
                    self._promote(alive[i])
        for i, track in enumerate(alive):
            track.missed += i not in seen
        for j, face in enumerate(faces):
            if j not in taken:
                self._begin(key, face)

    def _begin(self, key: int, face: Seen) -> None:
        track = FaceTrack(key, [face.box], [face.score], small=True)
        if face.box[2] >= self.detection.min_face:
            self._promote(track)
            self._follow_back(track)
        self.shot.tracks.append(track)

    def _promote(self, track: FaceTrack) -> None:
        """Makes a track one of those that are given, from the keys on that still wait."""
        track.begin_at(max(track.first, self.shot.emitted))
        track.number, self.numbered, track.small = self.numbered, self.numbered + 1, False

    def _leave(self, key: int) -> None:
        """Forgets the tracks that end before `key`, and counts those that were never given."""
        for track in self.shot.tracks:
            if track.end < key and track.small:
                self.rejected[f"{TOO_SMALL} {self.detection.min_face} px"] += 1
            elif track.end < key and not track.sure:
                self.rejected[f"{SELDOM_SEEN} {self.detection.min_seen} frames"] += 1
        self.shot.tracks = [track for track in self.shot.tracks if track.end >= key]

    def _follow_back(self, track: FaceTrack) -> None:
        """Looks for a new face in the keys before it that still wait."""
        if not isinstance(self.look, Search):
            return
        frames = dict(self.shot.waiting)
        while track.first > self.shot.emitted:
            frame = frames[self.shot.keys[track.first - 1]]
            found = separate(self.look.around(frame, [track.boxes[0]]))
            near = [face for face in found if continues(track.boxes[0], face.box)]
            best = max(near, key=lambda face: overlap(face.box, track.boxes[0]), default=None)
            if best is None or self._is_known(track.first - 1, best.box):
                return
            track.seen_before(best)

    def _is_known(self, key: int, box: Square) -> bool:
        """Says whether a track has this face at `key` already."""
        return any(
            track.first <= key <= track.end and same_face(track.boxes[key - track.first], box)
            for track in self.shot.tracks
        )

    def _emit(self, last: bool) -> Iterator[TrackFrame]:
        """Gives the frames after the last emitted key up to and with the next one."""
        shot, key = self.shot, self.shot.emitted
        begin, end = shot.keys[max(key - 1, 0)], shot.keys[key]
        here = [t for t in shot.tracks if not t.small and t.first <= key <= t.end]
        here = sorted((t for t in here if self._is_sure(t, key)), key=lambda t: t.number)
        ends = {t.number: t.smooth(key, self.detection.smoothing) for t in here}
        begins = {
            t.number: t.smooth(key - 1, self.detection.smoothing) for t in here if t.first < key
        }
        while shot.waiting and shot.waiting[0][0] <= end:
            index, frame = shot.waiting.popleft()
            part = 1.0 if index == end else (index - begin) / (end - begin)
            for track in here:
                if track.first == key and index < end:
                    continue  # the face appeared between the keys; it was first seen at this one
                box = ends[track.number]
                if track.first < key:
                    box = begins[track.number] * (1 - part) + box * part
                final = index == end and track.end == key and (last or self._over(track))
                x, y, side = (float(value) for value in box)
                lost = final and track.end < len(shot.keys) - 1
                score = track.score(key, part)
                yield TrackFrame(track.number, index, (x, y, side), frame, final, lost, score)

    def _delay(self) -> int:
        """How many keys a frame waits: for those it is smoothed over, and for its face to be sure
        or lost."""
        how = self.detection
        return max(how.smoothing, how.min_seen - 1, 1) + how.max_missed

    def _is_sure(self, track: FaceTrack, key: int) -> bool:
        """Says whether a face was seen often enough to be given from `key` on; of a shot with fewer
        keys, such as a still, it must have been seen in all."""
        least = self.detection.min_seen if isinstance(self.look, Search) else 1
        if not track.sure and track.seen >= min(least, len(self.shot.keys)):
            track.sure = True
            track.begin_at(max(track.first, key))
        return track.sure

    def _over(self, track: FaceTrack) -> bool:
        return track.missed > self.detection.max_missed

    def _too_small(self, track: FaceTrack, box: Square) -> bool:
        """Says whether a face is now much too small; one about the limit is not lost and found."""
        return not track.small and box[2] < SHRUNKEN * self.detection.min_face
