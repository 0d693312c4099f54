"""How far the stage is, by what its workers tell; and what it says of its plan and its speed."""

import pytest

from infra.settings.results import EnhanceSettings
from tests.support.enhancement.spans import MODEL
from workflows.enhancement.manifest import row_of_film
from workflows.enhancement.plan import layout, speed
from workflows.enhancement.progress import Frames
from workflows.enhancement.receipts import Receipt


def test_a_film_that_is_read_again_counts_once() -> None:
    frames = Frames()
    frames.expect("a", 100)
    frames.add("a", 60)
    frames.expect("b", 50)
    assert frames.sums() == (2, 150, 60)
    frames.expect("a", 100)  # its worker died
    frames.add("a", 30)
    assert frames.sums() == (2, 150, 30)
    frames.close("a", 97)
    frames.add("b", 70)  # more than its container had told
    assert frames.sums() == (2, 147, 147)


def test_frames_without_a_face_are_done_as_they_are_read() -> None:
    """And count once, though the span whose last they are is done behind them."""
    frames = Frames()
    frames.expect("a", 1000)
    frames.read("a", 250)
    assert frames.sums() == (1, 1000, 250)
    frames.read("a", 30)  # a face
    assert frames.sums() == (1, 1000, 250)
    frames.add("a", 300)
    frames.read("a", 500)
    assert frames.sums() == (1, 1000, 800)
    frames.add("a", 400)
    assert frames.sums() == (1, 1000, 800)
    frames.expect("a", 1000)  # its worker died
    assert frames.sums() == (1, 1000, 0)


def test_a_film_of_several_spans_is_half_done_when_it_is_restored() -> None:
    frames = Frames()
    frames.expect("a", 1000)
    frames.write("a", 0)
    frames.add("a", 600)
    assert frames.sums() == (1, 1000, 300)
    frames.add("a", 440)  # more than its container had told
    assert frames.sums() == (1, 1000, 500)
    frames.write("a", 512)
    assert frames.sums() == (1, 1000, 756)
    frames.close("a", 1040)
    assert frames.sums() == (1, 1040, 1040)


def test_the_plan_tells_films_networks_outputs_and_room() -> None:
    options = EnhanceSettings(outputs=["faces", "frames"])
    assert layout(2, [MODEL], options, {"CPU": 4.0}) == (
        "2 films by f1 8 → 32 px (weights aaaaaaaaaaaa) → faces, frames; 4 CPUs read, restore and "
        "write"
    )
    options = EnhanceSettings(outputs=["faces"], gpus_per_worker=0.25)
    told = layout(1, [MODEL], options, {"CPU": 16.0, "GPU": 2.0})
    assert told.startswith("1 film by") and "16 CPUs read and write, 8 workers restore" in told


def receipt(frames: int, faces: int, took: dict[str, float], reason: str = "") -> Receipt:
    film = row_of_film(frames=frames, faces=faces, took=took)
    return Receipt("v", "", [], film, reason, reason)


def test_the_speed_is_that_of_the_films_that_were_restored() -> None:
    took = {"read": 2.0, "restore": 6.0, "write": 1.0}
    receipts = [
        receipt(100, 50, took), receipt(300, 70, took), receipt(9, 0, {"read": 99.0}, "no face")
    ]  # fmt: skip
    assert speed(receipts, 0) == (
        "read 100 frames/s a process, 22 %; restore 10 faces/s a process, 67 %; "
        "write 60 faces/s a process, 11 %"
    )
    # A quarter of a GPU takes twice as long as reading and writing: a whole one takes half.
    assert speed(receipts, 0.25).endswith(": 2 cores keep a GPU busy")
    assert speed([], 0) == speed(receipts[2:], 0) == ""


@pytest.mark.parametrize("missing", ["read", "restore"])
def test_nothing_is_said_where_a_step_took_no_time(missing: str) -> None:
    took = {"read": 2.0, "restore": 6.0, "write": 1.0} | {missing: 0.0}
    assert speed([receipt(1, 1, took)], 1) == ""
