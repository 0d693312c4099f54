from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datasets.sources.frame_labels import LabelError, faces_of, missing_before

ROWS = (
    "Ann_Lee\\0\\0.555.jpg,0,189,142,90,91,0,0\n"
    "Ann_Lee\\0\\0.556.jpg,0,190.5,142,90,91,0,0\r\n\n"
    "Ann_Lee/1/1.555.jpg, 0, 10, 20, 8, 8, 0, 0\n"
)


def labels(folder: Path, text: str) -> str:
    path = folder / "Ann_Lee.labeled_faces.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return f"file://{path}"


def test_boxes_are_those_of_the_frames_asked_for(tmp_path: Path) -> None:
    found = faces_of(labels(tmp_path, ROWS), "0", ["0.555.jpg", "0.556.jpg", "0.557.jpg"])
    assert [box.tolist() for box in found[:2]] == [[[144, 96.5, 90, 91]], [[145.5, 96.5, 90, 91]]]
    assert found[2].shape == (0, 4)
    assert found[0].dtype == np.float32


def test_frames_of_one_name_in_two_videos_keep_their_own_boxes(tmp_path: Path) -> None:
    rows = "".join(f"Ann\\{n}\\1.jpg,0,{n}0,10,4,4,0,0\n" for n in (3, 4, 34))
    (found,) = faces_of(labels(tmp_path, rows), "4", ["1.jpg"])
    assert found.tolist() == [[38, 8, 4, 4]]
    (found,) = faces_of(labels(tmp_path, "1.jpg,0,10,10,4,4,0,0\n"), "4", ["1.jpg"])
    assert found.tolist() == [[8, 8, 4, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS + "Ann_Lee\\0\\0.9.jpg,0,1,2\n", r"faces\.txt:5: expected `person.*found 'Ann_Lee"),
        ("a\\0\\0.1.jpg,0,x,2,3,4,0,0\n", r"faces\.txt:1: expected"),
        ("a\\0\\0.1.jpg,0,1,2,0,4,0,0\n", r"faces\.txt:1: expected"),
        ("a\\0\\0.1.jpg,0,nan,2,3,4,0,0\n", r"faces\.txt:1: expected"),
        ("a\\0\\0.1.jpg,0,1,2,3,4,0,0\n", r"has no row for any frame, such as 0/0\.555\.jpg"),
        ("", "has no row for any frame"),
    ],
)
def test_bad_labels_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        faces_of(labels(tmp_path, text), "0", ["0.555.jpg"])


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"none\.txt: the boxes of its faces cannot be read"):
        faces_of(f"file://{tmp_path}/none.txt", "0", ["0.1.jpg"])


@given(st.integers(0, 5000), st.integers(1, 40), st.lists(st.booleans(), min_size=8, max_size=60))
def test_missing_frames_are_found(first: int, step: int, kept: list[bool]) -> None:
    """Of frames numbered by a constant step, with less than half of them left out, a break comes
    before exactly those whose predecessor is missing."""
    numbers = [first + step * i for i, keep in enumerate(kept) if keep]
    steps = [b - a for a, b in pairwise(numbers)]
    assume(len(steps) > 1 and sum(s == step for s in steps) > len(steps) / 2)
    expected = {i for i, s in enumerate(steps, 1) if s != step}
    assert missing_before([f"aligned_detect_3.{n}.jpg" for n in numbers]) == expected


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["1.png"],
        ["1.png", "900.png"],
        ["a.png", "b.png", "c9.png"],
        ["1.png", "9.png", "5.png"],
    ],
)
def test_names_that_tell_nothing_break_nothing(names: list[str]) -> None:
    assert missing_before(names) == frozenset()


def test_milliseconds_in_names_are_steps_of_one_frame() -> None:
    assert missing_before(["f_0000.png", "f_0033.png", "f_0067.png", "f_0100.png"]) == frozenset()
