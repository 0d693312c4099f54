"""What a detector is shown of a film. The detector here finds bright squares of the sizes that a
real one does, from 20 to 320 pixels of the image that it is shown, and only whole ones."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.sources.footage import Boxes, Frame
from datasets.tracking.boxes import separate
from datasets.tracking.detectors import Detector
from datasets.tracking.search import TILE, Search, _spans

shown: list[Frame] = []


def find(image: Frame) -> Boxes:
    shown.append(image)
    bright = cv2.threshold(image[:, :, 0], 200, 255, cv2.THRESH_BINARY)[1]
    _, _, found, _ = cv2.connectedComponentsWithStats(bright)
    boxes = [
        (x, y, w, h)
        for x, y, w, h, _ in found[1:].tolist()
        if 19 <= w <= 320 and 0.9 < w / h < 1.1
        and min(x, y) > 0 and x + w < image.shape[1] and y + h < image.shape[0]
    ]  # fmt: skip
    return np.array(boxes, np.float32).reshape(-1, 4)


DETECTOR = Detector(find, smallest=20, sure=30, exact=60)


@pytest.fixture(autouse=True)
def nothing_shown() -> None:
    shown.clear()


def frame_of(*squares: tuple[int, int, int], width: int = 1920, height: int = 1080) -> Frame:
    frame = np.full((height, width, 3), 60, np.uint8)
    for x, y, side in squares:
        frame[y : y + side, x : x + side] = 230
    return frame


def found(boxes: Boxes) -> list[tuple[float, float, float]]:
    return sorted(face.box for face in separate(boxes))


@pytest.mark.parametrize("side", [12, 20, 33, 60, 130, 300, 700])
def test_faces_of_every_size_are_found_in_a_large_frame(side: int) -> None:
    """To a pixel of the image in which they were found, the coarsest that shows them as 20."""
    frame = frame_of((1100, 300, side))
    (box,) = found(Search(DETECTOR, 12).everywhere(frame))
    assert box == pytest.approx((1100, 300, side), abs=max(1.0, 2 * side / 20))


def test_a_frame_that_shows_the_smallest_face_is_shown_once_as_it_is() -> None:
    frame = frame_of((40, 40, 30), width=300, height=200)
    assert found(Search(DETECTOR, 20).everywhere(frame)) == [(40, 40, 30)]
    assert len(shown) == 1 and np.shares_memory(shown[0], frame)


def test_small_faces_are_enlarged_to_what_the_detector_finds() -> None:
    """12 pixels to 20: the frame is shown 5/3 as large."""
    Search(DETECTOR, 12).everywhere(frame_of(width=300, height=180))
    assert [image.shape[:2] for image in shown] == [(300, 500), (75, 125)]


def test_a_face_across_the_border_of_tiles_is_whole_in_one_of_them() -> None:
    search = Search(DETECTOR, 20)
    for x in range(500, 700, 7):
        (box,) = found(search.everywhere(frame_of((x, x - 100, 90))))
        assert box == pytest.approx((x, x - 100, 90), abs=1)


@given(st.integers(1, 9000), st.floats(20, 3000), st.floats(0, 0.5))
def test_tiles_cover_all_and_overlap(length: int, size: float, share: float) -> None:
    overlap = share * size
    spans = _spans(length, size, overlap)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(end - begin <= size + 1 for begin, end in spans)
    assert all(before[1] - after[0] >= overlap - 1 for before, after in pairwise(spans))


def test_what_has_not_changed_is_not_shown_again() -> None:
    search = Search(DETECTOR, 20)
    empty = frame_of()
    search.everywhere(empty)
    first = len(shown)
    noise = np.random.default_rng(0).integers(-12, 13, empty.shape)
    noisy = (empty + noise).astype(np.uint8)
    assert len(search.everywhere(noisy, anew=False)) == 0
    assert len(shown) == first
    assert found(search.everywhere(frame_of((1500, 700, 24)), anew=False)) == [(1500, 700, 24)]
    assert first < len(shown) < 2 * first
    search.everywhere(empty, anew=True)
    assert len(shown) > 2 * first


def test_in_the_dark_a_small_change_is_one() -> None:
    search, dark = Search(DETECTOR, 20), frame_of() // 6
    search.everywhere(dark)
    first = len(shown)
    changed = dark.copy()
    changed[700:740, 1500:1540] += 4
    search.everywhere(changed, anew=False)
    assert len(shown) > first


def test_no_more_than_a_tile_is_enlarged_at_once() -> None:
    Search(DETECTOR, 2).everywhere(frame_of(width=300, height=200))
    assert len(shown) > 20 and max(max(image.shape) for image in shown) <= TILE + 10


@pytest.mark.parametrize("side", [12, 40, 300])
def test_around_a_known_face_it_is_shown_as_large_as_is_sure_and_exact(side: int) -> None:
    frame = frame_of((800, 400, side), (20, 20, 60))
    known = (800 + 0.2 * side, 400 - 0.3 * side, float(side))
    (box,) = found(Search(DETECTOR, 12).around(frame, [known]))
    assert box == pytest.approx((800, 400, side), abs=1 if side < 20 else side / 20)
    assert len(shown) == 1 and shown[0].shape[0] == pytest.approx(3 * min(max(side, 30), 60), abs=5)


def test_around_a_face_at_the_edge_there_is_what_the_frame_has() -> None:
    frame = frame_of((1, 1, 40))
    (box,) = found(Search(DETECTOR, 12).around(frame, [(-10.0, -10.0, 40.0)]))
    assert box == pytest.approx((1, 1, 40), abs=2)
    assert Search(DETECTOR, 12).around(frame, [(5000.0, 10.0, 40.0)]).shape == (0, 5)
    assert Search(DETECTOR, 12).around(frame, []).shape == (0, 5)


def test_a_face_keeps_its_score_at_whatever_scale_and_place_it_is_shown() -> None:
    """The score is the face's colour; 12 pixels are shown as 20, and 300 shrunk."""
    frame = frame_of((1100, 300, 12), (200, 400, 300))
    frame[300:312, 1100:1112, 1] = 204

    def scoring(image: Frame) -> Boxes:
        boxes = find(image)
        at = (boxes[:, :2] + boxes[:, 2:] / 2).astype(int)
        return np.column_stack([boxes, image[at[:, 1], at[:, 0], 1] / np.float32(255)])

    search = Search(Detector(scoring, smallest=20, sure=30, exact=60), 12)
    for boxes in (
        search.everywhere(frame),
        search.around(frame, [(1100, 300, 12), (200, 400, 300)]),
    ):
        scores = {round(face.box[2], -1): face.score for face in separate(boxes)}
        assert scores == pytest.approx({10: 204 / 255, 300: 230 / 255})


def test_what_finds_faces_of_any_size_is_shown_the_frame_itself() -> None:
    frame, search = frame_of((40, 40, 200)), Search(Detector(find), 12)
    for boxes in (search.everywhere(frame), search.around(frame, [])):
        assert found(boxes) == [(40, 40, 200)]
    assert all(image is frame for image in shown)
