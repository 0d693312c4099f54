"""What goes from step to step of the stage enhance, as blocks of Ray Data."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from datasets.sources.layouts import Source
from workflows.enhancement.spans import Film, Span, Verdict
from workflows.shared.ray_rows import Row, many_until_fault


@dataclass(frozen=True)
class Piece:
    """A `span` of a `film`, and the `seconds` that each step but the first took for it; with the
    last one of a film, or in place of all, what its reading came to."""

    source: Source
    film: Film | None
    span: Span | None
    verdict: Verdict | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def row_of(piece: Piece) -> Row:
    """The row of a piece; its bytes stay within the cluster, where Ray pickles as well."""
    return {"piece": pickle.dumps(piece)}


def piece_of(row: Row) -> Piece:
    """The piece of a row."""
    piece: Piece = pickle.loads(row["piece"])
    return piece


def step(task: Callable[[Piece], Iterable[Row]], block: pa.Table) -> Iterator[pa.Table]:
    """What `task` makes of each piece of a block; a row that tells of a fault goes on as it is."""
    return many_until_fault(partial(_stepped, task), block)


def _stepped(task: Callable[[Piece], Iterable[Row]], row: Row) -> Iterable[Row]:
    return [row] if row.get("fault") else task(piece_of(row))
