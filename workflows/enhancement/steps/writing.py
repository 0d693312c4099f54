"""The last step of the stage enhance: restored spans in, the outputs of a film and its receipt
out."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from datasets.sources.layouts import Source
from infra import outages, process, storage
from infra.attempts import ATTEMPTS, AttemptsError, attempt
from infra.nodes.counts import JobCounts
from infra.text import as_utf8, one_line
from workflows.enhancement.manifest import FILES, row_of_film
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.progress import Progress
from workflows.enhancement.receipts import RECEIPT, Receipt, remove_results, safe_name
from workflows.enhancement.spans import Film, Model, Span, Verdict
from workflows.enhancement.steps import store
from workflows.enhancement.steps.pieces import Piece, piece_of, row_of, step
from workflows.shared.ray_rows import Row, sound
from workflows.shared.source_rows import why
from workflows.shared.source_survey import fingerprint


@dataclass(frozen=True)
class Writer:
    """A task of Ray Data: writes the outputs of a film of one span, and its receipt. A span of
    another film it keeps; `join` is for when all of them are there.

    Everything goes below `folder`, the stage's in the run `run`; `of_stage` is what the results
    stand on beside the source.
    """

    run: str
    folder: str
    of_stage: str
    models: dict[int, Model]
    outputs: Chosen
    counts: JobCounts
    progress: Progress

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        process.limit_threads(1)
        yield from step(self._rows, block)

    def join(self, piece: Piece) -> list[Row]:
        """Write a film all of whose spans are kept, of which `piece` has the verdict.

        Ray begins it again where its process dies, which may be when spans are removed already.
        """
        source = piece.source
        assert piece.verdict is not None
        made = self._made(source)
        if made is None:
            made = self._receipt(piece, store.read(self._spans(source), piece.verdict.spans))
        self.forget(source)
        return [made]

    def _made(self, source: Source) -> Row | None:
        """The row of a film whose receipt is there: before this command it was none of it."""
        try:
            content = storage.read_json(storage.join(self._folder(source), RECEIPT))
        except FileNotFoundError:
            return None
        if content["fingerprint"] != fingerprint(self.of_stage, source):
            return None
        return {"receipt": json.dumps(content), "source": as_utf8(source.name)}

    def _rows(self, piece: Piece) -> list[Row]:
        span, verdict = piece.span, piece.verdict
        if verdict is not None and verdict.reason:
            return [self._receipt(piece, [])]
        if verdict is not None and verdict.spans == 1 and span is not None:
            return [self._receipt(piece, [span])]
        begun = time.monotonic()
        if span is not None:
            store.keep(self._spans(piece.source), span)
        took = piece.seconds | {"write": time.monotonic() - begun}
        number = None if span is None else span.number
        row = row_of(replace(piece, span=None, seconds=took))
        return [row | {"number": number, "source": as_utf8(piece.source.name)}]

    def given_up(self, source: Source) -> Row:
        """The row of a film of whose reading no end has come: with what it had to say, or the
        reason that its process has died. Raises as `ray_rows.sound` does."""
        left = self.counts.of(source.name).left()
        if left is not None:
            return self._receipt(piece_of(sound(left)), [])
        verdict = Verdict()
        verdict.reason, verdict.kind = why(source, AttemptsError.after(ATTEMPTS, None))
        return self._receipt(Piece(source, None, None, verdict), [])

    def forget(self, source: Source) -> None:
        """Remove what is kept of a film."""
        storage.remove(self._spans(source))

    def _spans(self, source: Source) -> str:
        return store.folder_of(self._folder(source), fingerprint(self.of_stage, source))

    def _folder(self, source: Source) -> str:
        return storage.join(self.folder, safe_name(source))

    def _receipt(self, piece: Piece, spans: Iterable[Span]) -> Row:
        """Write all there is of a film, and last its receipt."""
        source, film, verdict = piece.source, piece.film, piece.verdict
        assert verdict is not None
        begun = time.monotonic()
        reason, kind, of_film, tracks = verdict.reason, verdict.kind, dict[str, Any](), list[Row]()
        if not reason and film is not None:
            try:
                with outages.reporting(), attempt(self.counts.of(f"{source.name} written")):
                    of_film, tracks = self._written(film, spans)
            except Exception as error:  # whatever one film does to us, the others go on
                reason, kind = why(source, error)
                remove_results(self._folder(source))
        took = {"read": verdict.seconds} | piece.seconds
        took["write"] = took.get("write", 0.0) + time.monotonic() - begun
        told = row_of_film(
            video=as_utf8(source.name),
            identity=as_utf8(source.identity),
            frames=verdict.frames,
            seconds=verdict.plays,
            tracks=len(tracks),
            faces=sum(row["frames"] for row in tracks),
            rejected=dict(verdict.rejected),
            treated=dict(verdict.treated),
            took={name: round(value, 3) for name, value in took.items()},
            kind=kind,
            error=as_utf8(one_line(reason)),
            **of_film,
        )
        receipt = Receipt(
            told["video"], fingerprint(self.of_stage, source), tracks, told, kind, told["error"]
        )
        content = asdict(receipt)
        storage.write_json(storage.join(self._folder(source), RECEIPT), content)
        return {"receipt": json.dumps(content), "source": receipt.name}

    def _written(self, film: Film, spans: Iterable[Span]) -> tuple[dict[str, Any], list[Row]]:
        """Write the outputs; what the manifest tells of the film, and the rows of its tracks."""
        place = Place(film, self._folder(film.source), self.models)
        with ExitStack() as stack:
            outputs = [stack.enter_context(output) for output in self.outputs.of(place)]
            for span in spans:
                for output in outputs:
                    output.add(span)
                if span.first:
                    self.progress.write(film.source.name, span.first + span.frames)
        of_film: dict[str, Any] = {
            "fps": f"{film.rate.numerator}/{film.rate.denominator}",
            "width": film.width, "height": film.height,
        }  # fmt: skip
        tracks: dict[int, Row] = {}
        for output in outputs:
            of_film |= output.of_film
            for number, fields in output.of_tracks.items():
                tracks[number] = tracks.get(number, {}) | fields
        rows = [tracks[number] for number in sorted(tracks)]
        below = place.folder.removeprefix(self.run).strip("/")
        for row in (of_film, *rows):
            row |= {name: f"{below}/{row[name]}" for name in FILES if row.get(name)}
        return of_film, rows


def joined(writer: Writer, row: Row) -> Row:
    """`Writer.join` as a task of its own."""
    process.limit_threads(1)
    (made,) = step(writer.join, pa.Table.from_pylist([row]))
    found: Row = made.to_pylist()[0]
    return found
