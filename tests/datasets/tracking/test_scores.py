"""The detector's score of each face and frame. The detectors here tell scores that are not on one
line, so that a smoothed one, or another key's, would differ."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.sources.footage import Footage, Frame
from datasets.tracking.crops import face_tracks, track_crops
from datasets.tracking.detectors import Detector, Scored
from datasets.tracking.tracks import TrackFrame, follow, follow_whole
from infra.extraction import Detection
from tests.support.media import bright_detector, moving_square, square_frame

SCORES = np.random.default_rng(0).uniform(0.5, 1, 101)
FACE = (20.0, 20.0, 40.0)
HOW = Detection(stride=5, min_face=20)


def numbered(count: int) -> list[Frame]:
    """Frames of one colour, each with its own index in its first pixel."""
    frames = [np.full((72, 96, 3), 90, np.uint8) for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[0, 0] = index
    return frames


def telling(faces: dict[int, list[tuple[float, float, float, float]]]) -> Detector:
    """A detector that looks up the faces (x, y, side, score) of a numbered frame."""

    def find(frame: Frame) -> Scored:
        known = faces.get(int(frame[0, 0, 0]), [])
        rows = [(x, y, side, side, score) for x, y, side, score in known]
        return np.array(rows, np.float32).reshape(-1, 5)

    return Detector(find)


def scores_of(faces: list[TrackFrame]) -> NDArray[np.float64]:
    return np.array([face.score for face in faces])


def between(first: int, last: int, keys: list[int]) -> NDArray[np.float64]:
    """What frames `first` to `last` are to have when the face was seen in `keys` alone."""
    return np.interp(np.arange(first, last + 1), keys, SCORES[keys])


def test_scores_are_those_of_the_keys_and_between_them_on_a_line() -> None:
    detect = telling({i: [(*FACE, SCORES[i])] for i in range(33)})
    found = scores_of(list(follow(numbered(33), detect, HOW)))
    assert found == pytest.approx(between(0, 32, [*range(0, 31, 5), 32]), abs=1e-6)


def test_a_key_that_was_missed_lies_on_the_line_between_its_neighbours() -> None:
    detect = telling({i: [(*FACE, SCORES[i])] for i in range(41) if i not in (20, 25)})
    found = scores_of(list(follow(numbered(41), detect, Detection(stride=5, max_missed=2))))
    assert found == pytest.approx(between(0, 40, [0, 5, 10, 15, 30, 35, 40]), abs=1e-6)


def test_a_face_that_grows_to_the_least_size_has_the_scores_of_its_own_keys() -> None:
    """It is given from frame 35 on, a key within its track."""
    detect = telling({i: [(20, 20, 20 + 0.4 * i, SCORES[i])] for i in range(101)})
    found = list(follow(numbered(101), detect, Detection(stride=5, min_face=40)))
    assert found[0].index == 35
    assert scores_of(found) == pytest.approx(between(35, 100, [*range(35, 101, 5)]), abs=1e-6)


def test_a_face_that_is_followed_back_has_the_scores_that_were_found_there() -> None:
    """It is in frames 12 to 39, whole frames are searched at 0, 20, 40; its colour is the score."""

    def find(part: Frame) -> Scored:
        boxes = bright_detector.find(part)
        x, y = boxes[:, :2].astype(int).T
        return np.column_stack([boxes, part[y, x, 2] / np.float32(255)])

    frames = []
    for index in range(40):
        frame = square_frame(20, 20, 32)
        frame[20:52, 20:52] = (230 if index >= 12 else 150, 200, round(SCORES[index] * 255))
        frames.append(frame)
    found = list(follow(frames, Detector(find, smallest=20, sure=32, exact=32), HOW))
    assert [face.index for face in found] == list(range(15, 40))
    assert scores_of(found) == pytest.approx(between(15, 39, [15, 20, 25, 30, 35, 39]), abs=2e-3)


def test_of_two_boxes_of_one_face_the_score_is_that_of_the_one_that_is_kept() -> None:
    faces = {i: [(25.0, 35.0, 20.0, 0.99), (*FACE, SCORES[i])] for i in range(21)}
    found = list(follow(numbered(21), telling(faces), HOW))
    assert {face.box[2] for face in found} == {40}
    assert scores_of(found) == pytest.approx(between(0, 20, [*range(0, 21, 5)]), abs=1e-6)


def test_two_faces_keep_their_own_scores() -> None:
    """Nearest first: which of them the detector tells first changes."""
    faces = {
        i: sorted([(5.0, 10.0, 30.0, 0.8), (60.0, 10.0, 30.0, 0.6)], reverse=i % 2 == 0)
        for i in range(21)
    }
    found = list(follow(numbered(21), telling(faces), HOW))
    assert {(round(face.box[0]), round(face.score, 5)) for face in found} == {(5, 0.8), (60, 0.6)}


def test_where_no_score_is_told_there_is_none() -> None:
    frames = moving_square(12)
    told = [bright_detector.find(frame) for frame in frames]
    for found in (
        list(follow(frames, bright_detector, HOW)),
        list(follow(frames, told, HOW)),
        list(follow_whole(frames)),
    ):
        assert len(found) == 12 and np.isnan(scores_of(found)).all()


def test_what_is_placed_and_cut_keeps_its_score() -> None:
    frames = numbered(21)
    detect = telling({i: [(*FACE, SCORES[i])] for i in range(21)})
    footage = Footage("v", Fraction(25), 96, 72, lambda: iter(frames))
    placed = list(face_tracks(footage, detect, HOW, 16))
    wanted = between(0, 20, [*range(0, 21, 5)])
    assert scores_of([each.face for each in placed]) == pytest.approx(wanted, abs=1e-6)
    assert scores_of(list(track_crops(placed, 32))) == pytest.approx(wanted, abs=1e-6)
