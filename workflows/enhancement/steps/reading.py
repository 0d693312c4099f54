"""The first step of the stage enhance: a source in, its faces out, span by span."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from datasets.clips.windows import NO_FACE
from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra import process
from infra.attempts import attempt, off_the_clock
from infra.errors import FacestackError
from infra.extraction import Limits
from infra.nodes.counts import JobCounts
from infra.text import commonest, tallied
from workflows.enhancement.progress import Progress
from workflows.enhancement.spans import Film, Span, Verdict
from workflows.enhancement.steps.locate import TOO_LARGE, Wanted, spans_of
from workflows.enhancement.steps.pieces import Piece, row_of
from workflows.shared.ray_rows import Row, many_until_fault, row_of_fault
from workflows.shared.source_rows import sources_of, why

LARGE_REMEDY = (
    "enhance.large says what becomes of faces that are larger than the network's input: degrade, "
    "or nearest-model with enhance.models"
)


@dataclass(frozen=True)
class Reader:
    """A task of Ray Data: reads the source of each row and gives its spans as they are found, but
    for those that the row says are `done`, and the verdict with the last one."""

    wanted: Wanted
    limits: Limits
    counts: JobCounts
    progress: Progress

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        process.limit_threads(1)
        yield from many_until_fault(self._rows, block)

    def _rows(self, row: Row) -> Iterator[Row]:
        (source,), done = sources_of(row), frozenset(row["done"])
        film: Film | None = None
        last: Span | None = None
        verdict, counter, clock = Verdict(), self.counts.of(source.name), _Clock()
        try:
            # A film that is slow but not stuck ends itself within half of it, and says so.
            with (
                attempt(counter, 2 * self.limits.time_limit),
                open_source(source, self.limits) as footage,
            ):
                film = Film.of(source, footage)
                self.progress.expect(source.name, footage.expected)
                bare = partial(self.progress.read, source.name)
                for span in spans_of(footage, self.wanted, verdict.rejected, bare):
                    if last is not None and last.number == 0:
                        self.progress.write(source.name, 0)
                    if last is not None and last.number in done:
                        self.progress.add(source.name, last.frames)
                    elif last is not None:
                        with counter.waiting(), clock.stopped(footage):
                            yield row_of(Piece(source, film, last))
                    last = span
                    verdict.spans, verdict.frames = span.number + 1, span.first + span.frames
                    verdict.tracks += sum(part.begins for part in span.parts)
                verdict.treated.update(footage.counts)
                verdict.plays = footage.time(verdict.frames - 1) + float(1 / footage.rate)
            if not verdict.tracks:
                verdict.reason, verdict.kind = _why_none(source, verdict)
        except Exception as error:  # whatever one input does to us, the others go on
            try:
                verdict.reason, verdict.kind = why(source, error)
            except FacestackError as fault:
                counter.leave(row_of_fault(fault))
                raise
        verdict.seconds = clock.seconds()
        if verdict.reason:
            last = None
            counter.leave(row_of(Piece(source, film, None, verdict)))
        elif last is not None and last.number in done:
            self.progress.add(source.name, last.frames)
            last = None
        yield row_of(Piece(source, film, last, verdict))


class _Clock:
    """Tells the seconds that a film has taken; those in which it waited for others do not count,
    neither here nor for the bounds of time."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begun

    @contextmanager
    def stopped(self, footage: Footage) -> Iterator[None]:
        """Do not count what the block takes."""
        since = time.monotonic()
        with footage.pause(), off_the_clock():
            yield
        self.begun += time.monotonic() - since


def _why_none(source: Source, verdict: Verdict) -> tuple[str, str]:
    """Why a film gives no track: in a sentence, and in words that are the same for every film."""
    rejected = verdict.rejected
    if not rejected:
        return f"{source.name}: no face was found", NO_FACE
    remedy = f"; {LARGE_REMEDY}" if any(why.startswith(TOO_LARGE) for why in rejected) else ""
    return f"{source.name}: no track is restored: {tallied(rejected)}{remedy}", commonest(rejected)
