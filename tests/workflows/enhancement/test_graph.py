"""What becomes of films whose end the graph does not tell: Ray drops what a task that is begun
again says where its first attempt had said something."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.sources.layouts import Source
from infra.errors import FaultError
from infra.extraction import Limits
from tests.support.enhancement.spans import MODEL, Uncounted, Untold, a_film
from workflows.enhancement import graph
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.receipts import Receipt
from workflows.enhancement.spans import Verdict
from workflows.enhancement.steps.pieces import Piece, row_of
from workflows.enhancement.steps.writing import Writer
from workflows.shared.ray_rows import row_of_fault

FILMS = [a_film(name).source for name in ("a/1.mp4", "a/2.mp4")]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    outputs = Chosen(("faces",), 1.0, True, Limits())
    return Writer(
        str(tmp_path), f"{tmp_path}/enhanced", "stage", {8: MODEL}, outputs, Uncounted(), Untold()  # type: ignore[arg-type]
    )  # fmt: skip


class Given:
    """In the place of the dataset: these rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


def receipts(writer: Writer, *rows: dict[str, Any]) -> list[Receipt]:
    return list(graph._receipts(Given(*rows), FILMS, {}, writer))  # type: ignore[arg-type]


def refused(source: Source, writer: Writer, kind: str) -> dict[str, Any]:
    verdict = Verdict(reason=f"{source.name}: {kind}", kind=kind)
    (row,) = writer._rows(Piece(source, None, None, verdict))
    return row


def test_a_film_of_which_no_end_came_has_died(writer: Writer, tmp_path: Path) -> None:
    found = receipts(writer, refused(FILMS[0], writer, "damaged"))
    assert [(receipt.name, receipt.kind) for receipt in found] == [
        ("a/1.mp4", "damaged"), ("a/2.mp4", "its process died")
    ]  # fmt: skip
    assert (tmp_path / "enhanced/a/2.mp4/receipt.json").exists()


def test_what_its_reader_left_is_its_end(writer: Writer) -> None:
    film = a_film("a/2.mp4")
    verdict = Verdict(reason="a/2.mp4: takes too much memory", kind="takes too much memory")
    writer.counts.of("a/2.mp4").leave(row_of(Piece(film.source, film, None, verdict)))
    found = receipts(writer, refused(FILMS[0], writer, "damaged"))
    assert found[1].kind == "takes too much memory"


def test_a_fault_that_its_reader_met_ends_the_stage(writer: Writer, tmp_path: Path) -> None:
    """Storage that was away is no error of the film."""
    writer.counts.of("a/2.mp4").leave(row_of_fault(FaultError("s3://a: has not answered")))
    with pytest.raises(FaultError, match="s3://a: has not answered"):
        receipts(writer, refused(FILMS[0], writer, "damaged"))
    assert not (tmp_path / "enhanced/a/2.mp4/receipt.json").exists()


def test_spans_of_a_film_that_has_failed_are_of_no_use(writer: Writer, tmp_path: Path) -> None:
    """One that comes behind the error is removed in the end."""
    (tmp_path / "enhanced/a/1.mp4").mkdir(parents=True)
    spans = Path(writer._spans(FILMS[0]))
    spans.mkdir()
    late = row_of(Piece(FILMS[0], None, None)) | {"number": 3, "source": "a/1.mp4"}
    found = receipts(writer, refused(FILMS[0], writer, "damaged"), late)
    assert [receipt.name for receipt in found] == ["a/1.mp4", "a/2.mp4"]
    assert not spans.exists()
