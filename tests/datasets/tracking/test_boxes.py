import numpy as np
import pytest

from datasets.tracking.boxes import continues, overlap, separate, widen


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10), (0, 0, 10)) == 1
    assert overlap((0, 0, 10), (5, 0, 10)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 10), (2, 2, 5)) == pytest.approx(25 / 100)
    assert overlap((0, 0, 10), (10, 0, 10)) == 0
    assert overlap((0, 0, 10), (20, 20, 10)) == 0


def test_a_face_continues_within_half_its_side_and_a_change_of_1_4() -> None:
    assert continues((0, 0, 40), (12, 15, 40))
    assert not continues((0, 0, 40), (15, 15, 40))
    assert continues((0, 0, 40), (-7, -7, 54))
    assert not continues((0, 0, 40), (-9, -9, 58))
    assert not continues((-9, -9, 58), (0, 0, 40))


def test_boxes_are_made_square_and_the_larger_of_two_that_overlap_stays() -> None:
    boxes = np.array([[52, 52, 30, 30], [40, 40, 60, 50], [200, 10, 40, 40]], np.float32)
    assert [face.box for face in separate(boxes)] == [(40, 35, 60), (200, 10, 40)]
    assert separate(np.zeros((0, 4), np.float32)) == []


def test_a_part_of_a_face_is_no_face_and_somebody_before_its_picture_is() -> None:
    boxes = np.array([[0, 0, 200, 200], [80, 80, 45, 45], [20, 20, 30, 30]], np.float32)
    assert [face.box for face in separate(boxes)] == [(0, 0, 200), (20, 20, 30)]


def test_a_box_keeps_its_own_score_and_one_that_is_told_none_has_none() -> None:
    boxes = np.array([[52, 52, 30, 30, 0.9], [40, 40, 60, 50, 0.75]], np.float32)
    assert separate(boxes) == [((40, 35, 60), 0.75)]
    assert [np.isnan(face.score) for face in separate(boxes[:, :4])] == [True]


def test_widening_keeps_the_centre() -> None:
    assert widen((10, 20, 40), 1.5) == pytest.approx((0, 10, 60))
