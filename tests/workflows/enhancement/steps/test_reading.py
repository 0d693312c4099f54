"""A source in, its spans out, and what its reading came to."""

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from datasets.sources.layouts import Source
from infra import process
from infra.errors import RunError
from infra.extraction import Degradation, Detection, Geometry, Limits
from tests.support.enhancement.spans import Uncounted, Untold, tracks_of
from tests.support.films import film
from tests.support.media import bright_detector, moving_square
from workflows.enhancement.steps import locate, reading
from workflows.enhancement.steps.locate import Wanted
from workflows.enhancement.steps.pieces import Piece, piece_of
from workflows.enhancement.steps.reading import Reader
from workflows.shared.source_rows import item


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "limit_threads", lambda _: None)
    monkeypatch.setattr(locate, "face_detector", lambda *_: bright_detector)
    monkeypatch.setattr(locate, "SPAN", 20)


def reader(time_limit: float = 60.0) -> Reader:
    wanted = Wanted(
        Geometry(64, 4, 25), Detection("detect", min_face=10), Degradation("paper", 1.2), (16,), 2,
        True,
    )  # fmt: skip
    limits = Limits(time_limit=time_limit)
    return Reader(wanted, limits, Uncounted(), Untold())  # type: ignore[arg-type]


def source(path: Path) -> Source:
    return Source(f"file://{path}", f"a/{path.name}", "a", "video")


def rows(reader: Reader, *sources: Source, done: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    items = [item([each]) | {"done": list(done)} for each in sources]
    block = pa.Table.from_pylist(items)
    return [row for table in reader(block) for row in table.to_pylist()]


def pieces(reader: Reader, *sources: Source, done: tuple[int, ...] = ()) -> list[Piece]:
    return [piece_of(row) for row in rows(reader, *sources, done=done)]


def test_spans_come_with_the_verdict_at_the_last(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", moving_square(50), times=[Fraction(i, 25) for i in range(50)])
    made = reader()
    found = pieces(made, source(path))
    assert [piece.span.number for piece in found if piece.span] == [0, 1, 2]
    assert [piece.verdict is None for piece in found] == [True, True, False]
    verdict = found[-1].verdict
    assert verdict is not None and not verdict.reason
    assert (verdict.spans, verdict.frames, verdict.tracks) == (3, 50, 1)
    assert verdict.plays == pytest.approx(2.0) and verdict.seconds > 0
    told = found[0].film
    assert told is not None and (told.rate, told.width, told.height) == (25, 96, 72)
    assert made.progress.told == [  # type: ignore[attr-defined]
        ("expect", "a/v.mp4", 50),
        ("write", "a/v.mp4", 0),
    ]


@pytest.mark.parametrize(
    ("done", "left"), [((0,), [1, 2]), ((1, 2), [0, None]), ((2,), [0, 1, None])]
)
def test_spans_that_are_kept_are_not_given_again(
    done: tuple[int, ...], left: list[int | None], tmp_path: Path
) -> None:
    path = film(tmp_path / "v.mp4", moving_square(50))
    found = pieces(reader(), source(path), done=done)
    assert [piece.span and piece.span.number for piece in found] == left
    assert found[-1].verdict is not None and found[-1].verdict.spans == 3


def test_what_is_wrong_with_a_film_is_its_verdict_and_the_next_follows(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", moving_square(5))
    (tmp_path / "bad.mp4").write_bytes(b"text")
    nobody = film(tmp_path / "nobody.mp4", [np.full((72, 96, 3), 60, np.uint8)] * 5)
    found = pieces(reader(), *(source(p) for p in (tmp_path / "bad.mp4", nobody, good)))
    verdicts = [piece.verdict for piece in found]
    kinds = [verdict.kind for verdict in verdicts if verdict is not None]
    assert kinds == ["not a readable video", "no face", ""]
    assert [piece.span is None for piece in found] == [True, True, False]


def test_an_end_that_is_damaged_refuses_what_was_given(tmp_path: Path) -> None:
    """The verdict comes behind spans that were given."""
    path = film(tmp_path / "v.mp4", moving_square(60))
    content = bytearray(path.read_bytes())
    made = reader()
    path.write_bytes(content[: len(content) * 2 // 3])  # its index first, its end lost
    found = pieces(made, source(path))
    assert found[-1].verdict is not None and found[-1].verdict.reason
    assert found[-1].span is None


def test_waiting_for_others_is_no_time_of_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the spans is away for longer than the film may take."""
    path = film(tmp_path / "v.mp4", moving_square(50))
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    block = pa.Table.from_pylist([item([source(path)]) | {"done": []}])
    found = []
    for table in reader(time_limit=100.0)(block):
        found += [piece_of(row) for row in table.to_pylist()]
        now[0] += 99.0
    verdict = found[-1].verdict
    assert len(found) == 3 and verdict is not None and not verdict.reason
    assert verdict.seconds < 1


def test_what_is_wrong_with_the_run_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> object:
        raise RunError("models/yunet.onnx: missing")

    monkeypatch.setattr(reading, "spans_of", away)
    path = film(tmp_path / "v.mp4", moving_square(5))
    (row,) = rows(reader(), source(path), source(path))
    assert row == {"fault": "models/yunet.onnx: missing", "status": 2}


def test_tracks_end_at_a_pause_and_keep_their_times(tmp_path: Path) -> None:
    """30 frames, a pause of ten minutes, 30 frames: nothing else tells that the shot ends."""
    times = [Fraction(i, 25) + 600 * (i >= 30) for i in range(60)]
    path = film(tmp_path / "v.mp4", [moving_square(1)[0]] * 60, times=times)
    tracks = tracks_of([piece.span for piece in pieces(reader(), source(path)) if piece.span])
    found = [tracks[number] for number in sorted(tracks)]
    assert [track.first for track in found] == [0, 30]
    assert [track.break_before for track in found] == ["", "pause"]
    np.testing.assert_allclose(np.concatenate([t.times for t in found]), np.array(times, float))


def test_an_error_is_left_for_whoever_misses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"text")
    made, bad = reader(), source(tmp_path / "bad.mp4")
    (piece,) = pieces(made, bad)
    left = made.counts.of(bad.name).left()
    assert left is not None and piece_of(left) == piece

    def away(*_: object) -> object:
        raise RunError("models/yunet.onnx: missing")

    monkeypatch.setattr(reading, "spans_of", away)
    good = source(film(tmp_path / "v.mp4", moving_square(5)))
    (row,) = rows(made, good)
    assert made.counts.of(good.name).left() == row
