"""Clips of tracks of any length, with any radius and stride, from any shots."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datasets.clips.windows import Account, Window, windows
from datasets.sources.footage import Footage
from datasets.tracking.crops import TrackCrop, face_tracks, track_crops
from datasets.tracking.detectors import Detector
from infra.extraction import Detection
from tests.support.media import Frame

FACES = np.array([[2, 2, 12, 12], [20, 2, 12, 12]], np.float32)


def track(number: int, start: int, length: int) -> list[TrackCrop]:
    """Crops of one track; the image says which track and frame it is of."""
    return [
        TrackCrop(
            number, i, (i, 0, 8), np.full((8, 8, 3), [number, i % 256, 0], np.uint8), i == end
        )
        for end in [start + length - 1]
        for i in range(start, start + length)
    ]


def shrink(image: Frame) -> Frame:
    return image[::4, ::4]


@settings(max_examples=60)
@given(
    spans=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 70)), max_size=4),
    radius=st.integers(0, 12),
    stride=st.integers(1, 30),
)
def test_windows_of_any_tracks(spans: list[tuple[int, int]], radius: int, stride: int) -> None:
    """Every track of n frames, alone or beside others, gives ⌊(n − T)/stride⌋ + 1 windows of T
    consecutive frames of that track, the j-th centred on its frame radius + j·stride."""
    tracks = [track(n, start, length) for n, (start, length) in enumerate(spans)]
    stream = sorted((c for t in tracks for c in t), key=lambda c: (c.index, c.track))
    size, account = 2 * radius + 1, Account()
    found = list(windows(iter(stream), shrink, size, stride, account))
    for number, (start, length) in enumerate(spans):
        mine = [w for w in found if w.crops[0].track == number]
        assert len(mine) == max(0, (length - size) // stride + 1)
        for j, window in enumerate(mine):
            first = start + j * stride
            assert [c.index for c in window.crops] == list(range(first, first + size))
            assert {c.track for c in window.crops} == {number}  # so no clip reaches over a cut
            assert window.crops[radius].index == start + radius + j * stride
            assert window.low.shape == (size, 2, 2, 3)
            assert [int(low[0, 0, 1]) for low in window.low] == [c.index for c in window.crops]
            assert (window.low[:, :, :, 0] == number).all()
    assert account.tracks == len(spans)
    short = sum(length < size for _, length in spans)
    assert account.rejected.total() == short


@settings(max_examples=60)
@given(
    shots=st.lists(st.tuples(st.integers(1, 70), st.integers(0, 2)), min_size=1, max_size=4),
    radius=st.integers(0, 12),
    stride=st.integers(1, 30),
    detection=st.integers(1, 9),
)
def test_clips_of_any_film_keep_to_their_shot(
    shots: list[tuple[int, int]], radius: int, stride: int, detection: int
) -> None:
    """A film of shots (frames, faces) gives, for each face of a shot of n frames that begins at
    frame b, ⌊(n − T)/stride⌋ + 1 clips; the j-th has the T frames from b + j·stride on."""
    size = 2 * radius + 1
    found = list(_clips(shots, radius, stride, detection))
    begins = [0, *accumulate(length for length, _ in shots)]
    wanted = [
        (begin + j * stride, face)
        for (length, faces), begin in zip(shots, begins, strict=False)
        for face in range(faces)
        for j in range(max(0, (length - size) // stride + 1))
    ]
    seen = [(window.crops[0].index, int(window.crops[0].box[0] > 16)) for window in found]
    assert sorted(seen) == sorted(wanted)
    centres = [window.crops[radius].index for window in found]
    assert centres == sorted(centres)
    for window in found:
        first = window.crops[0].index
        assert [crop.index for crop in window.crops] == list(range(first, first + size))
        shot = max(i for i, begin in enumerate(begins) if begin <= first)
        assert first + size <= begins[shot + 1]
        levels = [_level(shot, first + place) for place in range(size)]
        assert [int(low[0, 0, 0]) for low in window.low] == levels
    assert len({(window.crops[radius].index, window.crops[0].track) for window in found}) == len(
        found
    )


def _clips(
    shots: list[tuple[int, int]], radius: int, stride: int, detection: int
) -> Iterator[Window]:
    frames = [(_level(shot, index), faces) for shot, index, faces in _numbered(shots)]
    faces_at = dict(frames)

    def detect(frame: Frame) -> NDArray[np.float32]:
        return FACES[: faces_at[int(frame[0, 0, 0])]]

    images = [np.full((16, 34, 3), level, np.uint8) for level, _ in frames]
    footage = Footage("film", Fraction(25), 34, 16, lambda: iter(images))
    how = Detection(context=1.0, stride=detection, min_face=8)
    faces = face_tracks(footage, Detector(detect), how, 16)
    return windows(track_crops(faces, 8), shrink, 2 * radius + 1, stride)


def _numbered(shots: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Shot, frame of the film and number of faces, frame by frame."""
    index = 0
    for shot, (length, faces) in enumerate(shots):
        for _ in range(length):
            yield shot, index, faces
            index += 1


def _level(shot: int, index: int) -> int:
    """The grey of a frame: a step of 60 at a cut, and little motion (under 8) in a shot."""
    return 10 + 60 * shot + index % 8


def test_each_frame_is_degraded_once() -> None:
    calls = 0

    def counting(image: Frame) -> Frame:
        nonlocal calls
        calls += 1
        return shrink(image)

    list(windows(track(0, 0, 60), counting, 25, 1))
    assert calls == 60


@pytest.mark.parametrize(
    ("num_frames", "stride", "message"), [(24, 1, "num_frames 24"), (25, 0, "stride 0")]
)
def test_bad_numbers_are_refused(num_frames: int, stride: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(windows([], shrink, num_frames, stride))
