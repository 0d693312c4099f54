"""The Parquet tables that a stage leaves beside its results: errors and manifests."""

import io
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from infra import storage


class InputProblem(NamedTuple):
    """A row of the errors table: why an input gave no result, in words that are the same for all
    inputs (`kind`) and in a sentence about this one (`reason`)."""

    uri: str
    stage: str
    kind: str
    reason: str


class Told(Protocol):
    """What became of a source: `reason` and `kind` are empty where it gave a result."""

    @property
    def uri(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...


ERRORS = pa.schema([(name, pa.string()) for name in InputProblem._fields])


def problems_of(stage: str, outcomes: Iterable[Told]) -> list[InputProblem]:
    """The rows of the errors table: what failed, and what gave no result."""
    return [
        InputProblem(told.uri, stage, told.kind, told.reason) for told in outcomes if told.reason
    ]


def write_errors(uri: str, errors: list[InputProblem]) -> None:
    """Write the errors table, with no row where nothing failed."""
    write_rows(uri, [error._asdict() for error in sorted(errors)], ERRORS)


def write_rows(uri: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as one Parquet file, whole or not at all."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    storage.write_bytes(uri, stream.getvalue())
