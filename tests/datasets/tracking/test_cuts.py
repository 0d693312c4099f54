from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

from datasets.tracking.cuts import mark_cuts
from tests.support.media import Frame, moving_square, square_frame


def ends(frames: list[Frame]) -> list[int]:
    marked = list(mark_cuts(frames))
    assert all(a is b for (a, _), b in zip(marked, frames, strict=True))
    return [index for index, (_, last) in enumerate(marked) if last]


def flat(value: int) -> Frame:
    return np.full((72, 96, 3), value, np.uint8)


def test_motion_alone_is_one_shot() -> None:
    assert ends(moving_square(40, 1.4)) == [39]


def test_a_jerk_of_the_camera_is_no_cut_and_another_scene_is() -> None:
    """A picture that fills the frame and jumps by two and a half pixels of the thumbnail, which
    differs by more than 28; then a picture of other things."""
    chance = np.random.default_rng(0)
    one, other = (
        cv2.resize(chance.integers(0, 256, (16, 16, 3), np.uint8), (160, 160)) for _ in range(2)
    )
    jerked = [one[12 : 12 + 96, x : x + 96] for x in (20, 20, 20, 28, 28, 20)]
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(jerked)]
    assert max(steps) > 28
    assert ends([*jerked, other[:96, :96], other[:96, :96]]) == [5, 7]


def test_a_cut_between_dark_scenes_is_found_against_a_quiet_past() -> None:
    assert ends([flat(20)] * 6 + [flat(33)] * 6) == [5, 11]


def test_the_same_step_after_lively_motion_is_motion() -> None:
    waves = [flat(60 + 10 * (i % 2)) for i in range(8)]
    assert ends([*waves, flat(85), flat(85)]) == [9]


def test_a_fade_is_no_cut() -> None:
    assert ends([flat(20 + 6 * i) for i in range(30)]) == [29]


def test_a_cut_from_the_first_frame_must_be_certain() -> None:
    assert ends([flat(20), flat(40), flat(40)]) == [2]
    assert ends([flat(20), flat(90), flat(90)]) == [0, 2]


def test_each_frame_ends_a_shot_when_all_differ() -> None:
    assert ends([flat(10), flat(200), flat(20), flat(220)]) == [0, 1, 2, 3]


def test_a_frame_waits_for_the_next_only_and_nothing_gives_nothing() -> None:
    read = 0

    def frames() -> Iterator[Frame]:
        nonlocal read
        for _ in range(5):
            read += 1
            yield square_frame(10, 10, 20)

    marked = mark_cuts(frames())
    next(marked)
    assert read == 2
    assert list(mark_cuts([])) == []
