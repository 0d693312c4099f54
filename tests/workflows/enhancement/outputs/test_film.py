"""The film as an output: the film that it was, larger, with the restored faces in it."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.errors import InputError
from infra.extraction import Limits
from tests.support.enhancement.spans import MODEL
from tests.support.films import numbered
from tests.support.media import Frame, write_images
from tests.support.whole_films import packets, pictures, source_of, whole_film
from workflows.enhancement.outputs import film as film_output
from workflows.enhancement.outputs.film import FilmOutput
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.outputs.pasting import enlarge
from workflows.enhancement.spans import Film, Span, TrackPart

SIDE, COUNT, AT = 32.0, 12, 4  # of the crop; frames of the film; the first with the face


def drifting(count: int = COUNT) -> list[Frame]:
    """A smooth picture that moves by a pixel a frame."""
    small = np.random.default_rng(5).integers(40, 216, (6, 10, 3)).astype(np.uint8)
    large = cv2.resize(small, (160, 72), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(large[:, i : i + 96]) for i in range(count)]


def crop_at(index: int) -> list[float]:
    return [60.0 - index, 20.0, SIDE]  # moves with the picture


def part(first: int, restored: list[Frame], begins: bool, ends: bool) -> TrackPart:
    """A face that moves with the picture."""
    count = len(restored)
    crops = np.array([crop_at(first + i) for i in range(count)])
    faces = crops + np.array([4, 4, -8])
    nothing = np.zeros(count, np.float32)
    return TrackPart(
        0, first, begins, ends, True, "", np.arange(first, first + count) / 25, crops, faces,
        nothing, np.zeros((count, 16, 16, 3), np.uint8), np.stack(restored), nothing, nothing,
    )  # fmt: skip


def spans(restored: dict[int, Frame], count: int = COUNT, length: int = 5) -> list[Span]:
    """All spans of a film with one face in some of its frames."""
    found = []
    for number, first in enumerate(range(0, count, length)):
        here = [i for i in range(first, min(first + length, count)) if i in restored]
        parts = [
            part(
                here[0], [restored[i] for i in here], here[0] == min(restored),
                here[-1] == max(restored),
            )
        ] if here else []  # fmt: skip
        found.append(Span(number, first, min(length, count - first), parts))
    return found


def of(source: Source) -> Film:
    with open_source(source) as footage:
        return Film.of(source, footage)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_output, "CRF", 8)
    monkeypatch.setattr(film_output, "PRESET", "veryfast")


def output(film: Film, folder: Path, scale: float = 2.0, mark: bool = False) -> FilmOutput:
    return FilmOutput(Place(film, str(folder), {8: MODEL}), Limits(), scale, mark)


def checks(index: int) -> Frame:
    """A restored face that no film has, without any coarse structure."""
    squares = 60 * (np.indices((128, 128)).sum(0) // 8 % 2) + 90
    return np.repeat(squares[..., None], 3, 2).astype(np.uint8)


def test_faces_are_pasted_where_and_when_they_were_cut_and_all_else_stays(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mp4", drifting(), start=0.4)
    restored = {i: checks(i) for i in range(AT, AT + 6)}
    film = of(source_of(path))
    with output(film, tmp_path / "out") as written:
        for span in spans(restored):
            written.add(span)
    assert written.of_film == {
        "film": "restored.mp4",
        "left_out_streams": [],
        "changed_streams": [],
        "left_out_tags": [],
    }
    copy = tmp_path / "out" / "restored.mp4"
    assert packets(copy, "audio") == packets(path, "audio")
    (old_times, old), (times, frames) = pictures(path), pictures(copy)
    assert times == old_times and len(frames) == COUNT
    for index, (before, after) in enumerate(zip(old, frames, strict=True)):
        apart = np.abs(enlarge(before, (192, 144)).astype(int) - after).mean(-1)
        x, y, side = (round(2 * v) for v in crop_at(index))
        if index in restored:
            assert apart[y + 16 : y + side - 16, x + 16 : x + side - 16].mean() > 15
            apart[y : y + side, x : x + side] = 0
        assert apart.mean() < 1.5 and apart.max() < 14
    with av.open(str(copy)) as container:
        assert "restored" in container.metadata["comment"]
        assert "(faces of 8 px: f1 ×4, weights SHA-256 aaaa" in container.metadata["comment"]


def test_what_the_film_shows_already_leaves_it_as_it_was(tmp_path: Path) -> None:
    """The restored faces are its own, enlarged: neither seam nor shift nor another colour."""
    path = whole_film(tmp_path / "v.mp4", drifting())
    with open_source(source_of(path), exact=True) as footage:
        shown = list(footage.frames())
    own = {}
    for i, frame in enumerate(shown):
        x, y, side = (int(v) for v in crop_at(i))
        own[i] = cv2.resize(frame, None, fx=4, fy=4, interpolation=cv2.INTER_LANCZOS4)[
            4 * y : 4 * (y + side), 4 * x : 4 * (x + side)
        ]
    with output(of(source_of(path)), tmp_path / "out") as written:
        for span in spans(own):
            written.add(span)
    for before, after in zip(shown, pictures(tmp_path / "out/restored.mp4")[1], strict=True):
        apart = enlarge(before, (192, 144)).astype(float) - after
        assert np.abs(apart).max() < 10 and np.abs(apart.mean((0, 1))).max() < 0.5


def test_marks_are_drawn_about_restored_faces_alone(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mp4", drifting())
    with output(of(source_of(path)), tmp_path / "out", mark=True) as written:
        for span in spans({i: checks(i) for i in range(AT, COUNT)}):
            written.add(span)
    whitest = [frame.min(-1).max() for frame in pictures(tmp_path / "out/restored.mp4")[1]]
    assert max(whitest[:AT]) < 225 < min(whitest[AT:])


def test_the_same_spans_give_the_same_bytes(tmp_path: Path) -> None:
    """However many frames a span has."""
    path = whole_film(tmp_path / "v.mkv", drifting())
    film, restored = of(source_of(path)), {i: checks(i) for i in range(AT, COUNT)}
    for name, length in (("one", 5), ("other", 3)):
        with output(film, tmp_path / name) as written:
            for span in spans(restored, length=length):
                written.add(span)
    one, other = (tmp_path / name / "restored.mkv" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_images_become_a_film(tmp_path: Path) -> None:
    write_images(tmp_path / "v", [f"{i}.png" for i in range(COUNT)], drifting())
    source = Source(f"file://{tmp_path}/v", "v", "a", "images")
    with output(of(source), tmp_path / "out", scale=1.5) as written:
        for span in spans({AT: checks(AT)}):
            written.add(span)
    times, frames = pictures(tmp_path / "out/restored.mp4")
    assert times == [Fraction(i, 25) for i in range(COUNT)]
    assert frames[0].shape == (108, 144, 3)


@pytest.mark.parametrize(
    ("told", "said"),
    [(COUNT + 1, f"{COUNT} frames, not {COUNT + 1} or more"), (COUNT - 2, f"{COUNT} frames, not")],
)
def test_another_number_of_frames_is_told_and_leaves_no_file(
    tmp_path: Path, told: int, said: str
) -> None:
    path = whole_film(tmp_path / "v.mp4", drifting())
    with (
        pytest.raises(InputError, match=f"a/v.mp4: gave another number of frames .*: {said}"),
        output(of(source_of(path)), tmp_path / "out") as written,
    ):
        for span in spans({}, count=told):
            written.add(span)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mp4", drifting())
    with (
        pytest.raises(KeyError, match="elsewhere"),
        output(of(source_of(path)), tmp_path / "out") as written,
    ):
        written.add(spans({})[0])
        raise KeyError("elsewhere")
    assert list((tmp_path / "out").iterdir()) == [] and "film" not in written.of_film


def test_a_film_that_was_replaced_is_told(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mp4", drifting())
    film = of(source_of(path))
    whole_film(path, numbered(COUNT))
    with (
        pytest.raises(InputError, match="has changed: its frames are 48×32, and were 96×72"),
        output(film, tmp_path / "out"),
    ):
        pass
    assert not (tmp_path / "out").exists()


def test_memory_is_bounded_by_the_limit(tmp_path: Path) -> None:
    """Frames too large for the memory that is allowed end the film in words."""
    path = whole_film(tmp_path / "v.mp4", drifting())
    film = of(source_of(path))
    large = FilmOutput(Place(film, str(tmp_path), {}), Limits(max_memory=64), 100.0, False)
    with pytest.raises(InputError, match="takes more than 64 MB of memory"), large:
        large.add(spans({})[0])
