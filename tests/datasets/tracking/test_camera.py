"""The small camera's pixels stand still in the film, and the face moves over them."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.degrade import degrade
from datasets.sources.footage import Footage
from datasets.tracking.boxes import Square
from datasets.tracking.camera import DISTANCES, Camera, Grid, Placed, moves, place
from datasets.tracking.crops import TrackCrop, crop, face_tracks, track_crops
from datasets.tracking.tracks import TrackFrame
from infra.extraction import Detection
from tests.support.media import Frame, bright_detector, square_frame

SIGMA = 2.4
BLANK = np.zeros((8, 8, 3), np.uint8)


def film(frames: list[Frame]) -> Footage:
    return Footage("v", Fraction(25), frames[0].shape[1], frames[0].shape[0], lambda: iter(frames))


def drifting() -> list[Frame]:
    """A square of 32 pixels that moves by an eighth and a sixteenth of a low pixel of 8 a frame."""
    return [square_frame(40 + i, 40 + i // 2, 32, 192, 144) for i in range(41)]


def low_crops(grid: Grid) -> Iterator[tuple[TrackCrop, NDArray[np.uint8]]]:
    """Crops twice as wide as the square, so 8 low pixels of 8, and their low frames."""
    how = Detection(grid=grid, context=2, min_face=20)
    faces = face_tracks(film(drifting()), bright_detector, how, 8)
    for each in track_crops(faces, 64):
        yield each, degrade(each.image, 8, SIGMA)


def decimated(frame: Frame) -> NDArray[np.float32]:
    """The whole frame by OpenCV: low pixel i = (blurred[8i + 3] + blurred[8i + 4]) / 2 an axis."""
    radius = int(4 * SIGMA + 0.5)
    blurred = cv2.GaussianBlur(frame.astype(np.float32), (2 * radius + 1,) * 2, SIGMA)
    rows = (blurred[3::8] + blurred[4::8]) / 2
    return (rows[:, 3::8] + rows[:, 4::8]) / 2


def apart(grid: Grid) -> float:
    """The furthest that any low frame is, in levels and away from its border, from the same place
    of the decimated film."""
    found, frames = [], [decimated(frame) for frame in drifting()]
    for each, low in low_crops(grid):
        left, top = (round(value / 8) for value in each.box[:2])
        wanted = frames[each.index][top : top + 8, left : left + 8]
        found.append(np.abs(low - wanted)[1:-1, 1:-1].max())
    assert len(found) == 41
    return max(found)


def test_low_frames_are_those_of_a_film_decimated_once_and_for_all() -> None:
    """What moves by fractions of a low pixel keeps its phase on `camera`, and not on `face`."""
    assert apart("camera") <= 1
    assert apart("face") > 20


def test_the_grid_of_frames_takes_every_box_as_it_is_found() -> None:
    """Boxes jitter by whole pixels and none is smoothed; a frame without a face ends the track."""
    chance = np.random.default_rng(0)
    places = 40 + chance.integers(-2, 3, (30, 2))
    frames = [square_frame(x, y, 32, 192, 144) for x, y in places]
    frames[17] = np.full_like(frames[0], 90)
    how = Detection(grid="frame", context=1.5, min_face=20)
    faces = list(face_tracks(film(frames), bright_detector, how, 16))
    assert [(f.face.track, f.face.index) for f in faces] == [
        (int(i > 17), i) for i in range(30) if i != 17
    ]
    for each in faces:
        x, y = places[each.face.index]
        assert each.box == (x - 8, y - 8, 48)


def faces_of(boxes: list[Square], track: int = 0, start: int = 0) -> list[TrackFrame]:
    return [
        TrackFrame(track, start + i, box, BLANK, i == len(boxes) - 1) for i, box in enumerate(boxes)
    ]


def by_track(placed: list[Placed]) -> list[list[Placed]]:
    numbers = sorted({each.face.track for each in placed})
    assert numbers == list(range(len(numbers)))
    return [[each for each in placed if each.face.track == number] for number in numbers]


@pytest.mark.parametrize(("rate", "length"), [(1.02, 13), (1 / 1.02, 13), (1.001, 200)])
def test_a_track_has_one_pitch_and_ends_where_the_face_has_changed_by_a_quarter(
    rate: float, length: int
) -> None:
    """1.02^11 = 1.243 and 1.02^12 = 1.268: frame 12 is the last of 13, and 13 begins anew."""
    boxes = [(50 + 0.3 * t, 40 - 0.1 * t, 40 * rate**t) for t in range(200)]
    tracks = by_track(list(place(faces_of(boxes), Camera("camera", 16), 1.3, 25, "v")))
    assert [len(track) for track in tracks[:-1]] == [length] * (199 // length)
    begins = 0
    for track in tracks:
        assert [each.face.last for each in track] == [False] * (len(track) - 1) + [True]
        assert [each.face.index for each in track] == list(range(begins, begins + len(track)))
        side = 1.3 * boxes[begins][2]
        assert [each.box[2] for each in track] == pytest.approx([side] * len(track))
        corners = np.array([each.box[:2] for each in track]) / (side / 16)
        np.testing.assert_allclose(corners, corners.round(), atol=1e-6)
        assert np.abs([each.offset for each in track]).max() <= 0.5 + 1e-9
        begins += len(track)
    assert begins == 200


def test_faces_beside_each_other_keep_their_own_numbers() -> None:
    growing = [(10.0, 10.0, 40 * 1.02**t) for t in range(30)]
    steady = [(200.0, 10.0, 40.0)] * 30
    stream = sorted(faces_of(growing, 3) + faces_of(steady, 7), key=lambda f: (f.index, f.track))
    tracks = by_track(list(place(stream, Camera("camera", 16), 1.0, 25, "v")))
    assert [len(track) for track in tracks] == [13, 30, 13, 4]
    assert [sum(each.face.last for each in track) for track in tracks] == [1] * 4
    riding = by_track(list(place(stream, Camera("face", 16), 1.0, 25, "v")))
    assert [len(track) for track in riding] == [30, 30]
    assert [each.box for each in riding[0]] == growing
    assert np.abs([each.offset for each in riding[0]]).max() < 1e-9


def shakes(camera: Camera, name: str = "v", count: int = 50) -> NDArray[np.float64]:
    """Shifts of a box that would not move, in low pixels of 3."""
    fixed = faces_of([(10.0, 20.0, 48.0)] * count)
    placed = place(fixed, replace(camera, grid="face"), 1.0, 25, name)
    return (np.array([each.box[:2] for each in placed]) - (10, 20)) / 3


def test_a_shake_comes_from_the_seed_the_film_and_the_track() -> None:
    camera = Camera("camera", 16, shake=0.5, seed=3)
    first = shakes(camera)
    np.testing.assert_array_equal(first, shakes(camera))
    np.testing.assert_allclose(2 * first, shakes(replace(camera, shake=1.0)))
    for other in (shakes(replace(camera, seed=4)), shakes(camera, "w")):
        assert np.abs(other - first).max() > 0.3
    assert not shakes(replace(camera, shake=0.0)).any()
    two = place(
        faces_of([(10.0, 20.0, 48.0)]) + faces_of([(10.0, 20.0, 48.0)], 1, 1), camera, 1.0, 25, "v"
    )
    assert len({each.box for each in two}) == 2


def test_a_shaken_grid_moves_as_a_whole() -> None:
    """Corner = (n + s_t)·p with whole n, nearest to the face; offset = (face − crop centre) / p."""
    boxes = [(50 + 0.7 * t, 40 - 0.4 * t, 48.0) for t in range(50)]
    camera = Camera("camera", 16, shake=0.5, seed=3)
    shaken = shakes(camera)
    for t, each in enumerate(place(faces_of(boxes), camera, 1.0, 25, "v")):
        n = np.array(each.box[:2]) / 3 - shaken[t]
        np.testing.assert_allclose(n, n.round(), atol=1e-9)
        left = (np.array(boxes[t][:2]) - each.box[:2]) / 3
        assert np.abs(left).max() <= 0.5 + 1e-9
        np.testing.assert_allclose(each.offset, left, atol=1e-9)


def test_aligned_footage_is_shaken_and_nothing_else() -> None:
    frames = [square_frame(20 + i, 20, 32) for i in range(30)]
    still, moved = (
        list(face_tracks(film(frames), None, Detection(shake=s), 8)) for s in (0.0, 0.4)
    )
    assert {each.box for each in still} == {(12.0, 0.0, 72.0)}
    assert {each.offset for each in still} == {(0.0, 0.0)}
    for each in moved:
        shift = (np.array(each.box) - (12, 0, 72)) / 9
        assert shift[2] == 0
        np.testing.assert_allclose(each.offset, -shift[:2], atol=1e-9)
    assert 0.2 < np.std([each.offset for each in moved]) < 0.8


def test_moves_are_sums_of_squares_from_the_centre() -> None:
    offsets = np.random.default_rng(0).normal(0, 1, (19, 2))
    found = moves([(x, y) for x, y in offsets])
    for distance, (squares, many) in zip(DISTANCES, found, strict=True):
        ends = [9 - distance, 9 + distance] if distance <= 9 else []
        assert many == 2 * len(ends)
        assert squares == pytest.approx(sum(((offsets[t] - offsets[9]) ** 2).sum() for t in ends))


@pytest.mark.parametrize("grid", ["camera", "frame", "face"])
@pytest.mark.parametrize(("side", "cut"), [(15.2, 16), (17.6, 16), (20.7, 21), (12.4, 12)])
def test_small_faces_are_cut_at_whole_pixels(grid: Grid, side: float, cut: int) -> None:
    """Where the crop is near to 16 it is a slice of the frame; else a whole square of one side."""
    chance = np.random.default_rng(0)
    frame = chance.integers(0, 256, (72, 96, 3), dtype=np.uint8)
    boxes = [(30 + 0.37 * t, 20 + 0.21 * t, side * 1.002**t) for t in range(40)]
    camera = Camera(grid, 16, inputs=(16,))
    for each, (x, y, wide) in zip(place(faces_of(boxes), camera, 1.0, 25, "v"), boxes, strict=True):
        assert each.native
        left, top, width = (round(value) for value in each.box)
        assert each.box == (left, top, width) and width == cut
        assert (
            abs(left + cut / 2 - x - wide / 2) <= 0.5 and abs(top + cut / 2 - y - wide / 2) <= 0.5
        )
        if cut == 16:
            whole = frame[top : top + 16, left : left + 16]
            np.testing.assert_array_equal(crop(frame, each.box, 16), whole)
    (large, *_) = place(faces_of([(30.0, 20.0, 28.1)]), camera, 1.0, 25, "v")
    assert not large.native
