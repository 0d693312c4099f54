"""Two faces in one frame are two people; the larger and longer seen one is the film's person."""

import numpy as np

from datasets.clips.people import Span, others, spanned
from datasets.tracking.camera import Placed
from datasets.tracking.tracks import TrackFrame

FRAME = np.zeros((8, 8, 3), np.uint8)


def face(track: int, index: int, side: float) -> Placed:
    seen = TrackFrame(track, index, (0, 0, side), FRAME, False)
    return Placed(seen, (0, 0, side), (0, 0), 0)


def test_a_span_is_from_the_first_to_the_last_frame_with_all_the_pixels_of_the_face() -> None:
    spans: dict[int, Span] = {}
    faces = [face(0, 3, 10), face(1, 3, 2), face(0, 4, 20), face(1, 4, 2), face(1, 5, 1)]
    assert list(spanned(faces, spans)) == faces
    assert spans == {0: Span(3, 4, 500), 1: Span(3, 5, 9)}


def test_of_two_faces_in_one_frame_the_one_with_fewer_pixels_is_somebody_else() -> None:
    assert others({0: Span(0, 50, 100), 1: Span(50, 90, 300)}) == {0: 1}
    assert others({0: Span(0, 50, 300), 1: Span(50, 90, 300)}) == {1: 1}


def test_faces_that_are_never_seen_together_are_one_person() -> None:
    assert others({0: Span(0, 50, 100), 1: Span(51, 90, 300), 2: Span(91, 99, 5)}) == {}
    assert others({}) == {}


def test_who_is_seen_beside_somebody_else_alone_may_be_the_person() -> None:
    """Track 1 is beside 0, and 2 beside 1: 2 may be 0 again."""
    spans = {0: Span(0, 40, 900), 1: Span(30, 70, 100), 2: Span(60, 90, 400)}
    assert others(spans) == {1: 1}


def test_somebody_else_who_is_lost_and_found_is_one_person_and_a_third_another() -> None:
    """Tracks 1 and 2 are beside the person one after the other, 3 beside both."""
    spans = {
        0: Span(0, 120, 900), 1: Span(0, 40, 90), 2: Span(85, 119, 80), 3: Span(30, 90, 70),
    }  # fmt: skip
    assert others(spans) == {1: 1, 2: 1, 3: 2}
