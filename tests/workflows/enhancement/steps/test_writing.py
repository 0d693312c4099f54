"""What is written of a film: by one task, or from spans that were kept by many."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra import process
from infra.extraction import Limits
from tests.support.enhancement.spans import MODEL, Uncounted, Untold, a_film, a_part, tracks_of
from tests.support.films import read
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.outputs.track_videos import panes
from workflows.enhancement.receipts import Receipt, from_json
from workflows.enhancement.spans import Film, Span, Verdict
from workflows.enhancement.steps.pieces import Piece, piece_of, row_of
from workflows.enhancement.steps.writing import Writer, joined
from workflows.shared.restoring import bicubic

KINDS = ("faces", "side_by_side", "frames", "gallery", "png")


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.setattr(process, "limit_threads", lambda _: None)
    outputs = Chosen(KINDS, 1.0, True, Limits())
    return Writer(
        str(tmp_path), f"{tmp_path}/enhanced", "stage", {8: MODEL}, outputs, Uncounted(), Untold()  # type: ignore[arg-type]
    )  # fmt: skip


def written(writer: Writer, piece: Piece) -> dict[str, Any]:
    (made,) = writer(pa.Table.from_pylist([row_of(piece)]))
    row: dict[str, Any] = made.to_pylist()[0]
    return row


def receipt_of(row: dict[str, Any]) -> Receipt:
    return from_json(json.loads(row["receipt"]))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def in_spans(film: Film) -> tuple[list[Span], Verdict]:
    """Two tracks, of which one lies in both spans."""
    first, second = a_part(20, first=5, ends=False), a_part(9, first=25, begins=False)
    spans = [Span(0, 0, 25, [first]), Span(1, 25, 15, [second, a_part(3, 1, 30)])]
    return spans, Verdict(2, 40, 2, 1.6, seconds=2.0)


def test_a_film_of_kept_spans_is_that_of_one_span(writer: Writer, tmp_path: Path) -> None:
    """File by file; and nothing is left of the spans, in whatever order they came."""
    film = a_film()
    spans, verdict = in_spans(film)
    second, first = (
        written(writer, Piece(film.source, film, spans[1], verdict, {"restore": 1.0})),
        written(writer, Piece(film.source, film, spans[0], None, {"restore": 3.0})),
    )
    assert (second["number"], first["number"]) == (1, 0)
    folder = tmp_path / "enhanced/a/v.mp4"
    assert all(path.name.startswith(".spans-") for path in folder.iterdir())
    last = replace(piece_of(second), verdict=verdict, seconds={"restore": 4.0, "write": 0.5})
    receipt = receipt_of(joined(writer, row_of(last)))
    assert not receipt.reason and len(receipt.tracks) == 2
    took = receipt.film["took"]
    assert (took["read"], took["restore"]) == (2.0, 4.0) and took["write"] > 0.5
    parts = contents(folder)

    other = a_film("b/v.mp4")
    tracks, verdict = tracks_of(spans), replace(verdict, spans=1)
    found = receipt_of(
        written(writer, Piece(other.source, other, Span(0, 0, 40, [*tracks.values()]), verdict))
    )
    for row, same in zip(receipt.tracks, found.tracks, strict=True):
        for name in row.keys() - {"video"}:
            assert str(row[name]).replace("/a/", "/b/") == str(same[name]), name
    once = contents(tmp_path / "enhanced/b/v.mp4")
    assert parts.keys() == once.keys() and len(parts) == 3 + 2 + 1 + 1 + 1 + 32
    for name in parts.keys() - {"receipt.json", "frames.parquet"}:
        assert parts[name].replace(b"a/v.mp4", b"b/v.mp4") == once[name], name
    rows = [pq.read_table(path / "frames.parquet").to_pylist() for path in (
        folder, tmp_path / "enhanced/b/v.mp4")]  # fmt: skip
    assert sorted(rows[0], key=lambda row: row["track"]) == rows[1]


def test_a_film_that_is_joined_twice_is_there_once(writer: Writer, tmp_path: Path) -> None:
    """The process died when it removed the spans, of which some are left."""
    film = a_film()
    spans, verdict = in_spans(film)
    last, first = (written(writer, Piece(film.source, film, span)) for span in reversed(spans))
    whole = row_of(replace(piece_of(last), verdict=verdict))
    receipt = receipt_of(joined(writer, whole))
    parts = contents(tmp_path)
    written(writer, Piece(film.source, film, spans[0]))
    assert first["number"] == 0 and receipt_of(joined(writer, whole)) == receipt
    assert contents(tmp_path) == parts and not receipt.reason


@pytest.mark.parametrize(("late", "told"), [(0.0009, 0), (0.2, 9)])
def test_times_that_the_rate_tells_are_not_told_again(
    late: float, told: int, writer: Writer, tmp_path: Path
) -> None:
    """Nine frames that begin ten minutes after the film; the last ones come `late`."""
    times = np.array([600 + i / 25 + late * (i > 4) for i in range(9)])
    film, part = a_film(), a_part(9, first=50, times=times)
    piece = Piece(film.source, film, Span(0, 0, 59, [part]), Verdict(1, 59, 1, 602.0))
    (row,) = receipt_of(written(writer, piece)).tracks
    assert (row["start"], row["times"]) == (600, times[9 - told :].tolist())
    assert row["seconds"] == pytest.approx(times[-1] - 600 + 0.04)
    for column in ("output", "side_by_side"):
        shown = read(tmp_path / row[column])[1].times
        np.testing.assert_allclose(shown, times - 600, atol=0.001)


def test_a_file_says_that_it_is_no_recording_and_by_what_it_was_made(
    writer: Writer, tmp_path: Path
) -> None:
    film = a_film(rate=Fraction(30000, 1001))
    piece = Piece(film.source, film, Span(0, 0, 5, [a_part(5)]), Verdict(1, 5, 1, 0.2))
    (row,) = receipt_of(written(writer, piece)).tracks
    with av.open(str(tmp_path / row["output"])) as file:
        assert file.metadata["title"] == "a/v.mp4: restored face, track 0"
        assert "not a recording" in file.metadata["comment"]
        assert f"f1 ×4, weights SHA-256 {MODEL.sha256}" in file.metadata["comment"]


def test_the_table_of_frames_has_what_pasting_needs(writer: Writer, tmp_path: Path) -> None:
    part, film = a_part(5, scores=np.array([0.5, np.nan, 1, 0, 0], np.float32)), a_film()
    piece = Piece(film.source, film, Span(0, 0, 5, [part]), Verdict(1, 5, 1, 0.2))
    told = receipt_of(written(writer, piece)).film
    rows = pq.read_table(tmp_path / told["frames_table"]).to_pylist()
    assert [row["frame"] for row in rows] == list(range(5))
    np.testing.assert_array_equal([row["crop"] for row in rows], part.crops)
    np.testing.assert_array_equal([row["face"] for row in rows], part.faces)
    assert [row["score"] for row in rows] == [0.5, None, 1, 0, 0]
    np.testing.assert_array_equal([row["consistency"] for row in rows], part.consistency)


def test_side_by_side_is_the_input_bicubic_and_restored() -> None:
    part = a_part(3)
    shown = panes(part)
    assert shown.shape == (3, 32, 96, 3)
    np.testing.assert_array_equal(shown[:, ::4, :32:4], part.low)
    np.testing.assert_array_equal(shown[:, 3::4, 3:32:4], part.low)
    for low, middle in zip(part.low, shown[:, :, 32:64], strict=True):
        assert np.abs(middle.astype(int) - bicubic(low, 32)).max() <= 1
    np.testing.assert_array_equal(shown[:, :, 64:], part.restored)


def test_what_goes_wrong_with_one_film_is_its_reason(writer: Writer, tmp_path: Path) -> None:
    """An output that fails at the second span: nothing is there but the receipt."""
    film = a_film()
    spans, verdict = in_spans(film)
    track, alone = spans[1].parts
    odd = replace(alone, restored=alone.restored[:, :31])
    for span in (spans[0], replace(spans[1], parts=[track, odd])):
        written(writer, Piece(film.source, film, span))
    outputs = replace(writer, outputs=replace(writer.outputs, kinds=("faces", "side_by_side")))
    receipt = receipt_of(joined(outputs, row_of(Piece(film.source, film, None, verdict))))
    assert receipt.name == "a/v.mp4" and receipt.kind and "a/v.mp4" in receipt.reason
    assert receipt.tracks == [] and receipt.film["error"] == receipt.reason
    assert list(contents(tmp_path)) == ["enhanced/a/v.mp4/receipt.json"]


def test_a_film_that_was_refused_has_a_receipt(writer: Writer, tmp_path: Path) -> None:
    source = a_film().source
    verdict = Verdict(reason="a/v.mp4: damaged", kind="damaged")
    receipt = receipt_of(written(writer, Piece(source, None, None, verdict)))
    assert (receipt.kind, receipt.reason) == ("damaged", "a/v.mp4: damaged")
    assert json.loads((tmp_path / "enhanced/a/v.mp4/receipt.json").read_text())["kind"] == "damaged"


def test_a_name_that_is_not_utf8_goes_to_the_driver_as_text(writer: Writer, tmp_path: Path) -> None:
    """As Linux allows; Arrow has no such text. Whether it is read at all, others decide."""
    film = a_film("a/\udc80.mp4")
    refused = written(writer, Piece(film.source, None, None, Verdict(reason="no", kind="no")))
    assert refused["source"] == receipt_of(refused).name == r"a/\udc80.mp4"
    kept = written(writer, Piece(film.source, film, Span(0, 0, 5, [a_part(5)])))
    assert kept["source"] == r"a/\udc80.mp4"
