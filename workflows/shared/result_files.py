"""The Parquet tables that a stage leaves beside its results: errors and manifests."""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from infra import storage


class InputProblem(NamedTuple):
    """A row of the errors table: why a `source` (its path under the root of all) gave no result, in
    words that are the same for all (`kind`) and in a sentence about this one (`reason`)."""

    source: str
    stage: str
    kind: str
    reason: str


class Told(Protocol):
    """What became of the source `name`, of the files and settings that `fingerprint` is of:
    `reason` and `kind` are empty where it gave a result."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...


ERRORS = pa.schema([(name, pa.string()) for name in InputProblem._fields])


def problems_of(stage: str, outcomes: Iterable[Told]) -> list[InputProblem]:
    """The rows of the errors table: what failed, and what gave no result."""
    return [
        InputProblem(told.name, stage, told.kind, told.reason) for told in outcomes if told.reason
    ]


def write_errors(uri: str, errors: list[InputProblem]) -> None:
    """Write the errors table, with no row where nothing failed."""
    write_rows(uri, [error._asdict() for error in sorted(errors)], ERRORS)


SOURCES = "sources.parquet"  # of a stage: what became of every source, when it is complete
OUTCOMES = pa.schema(
    [(name, pa.string()) for name in ("source", "fingerprint", "kind", "reason", "outcome")]
)


def write_outcomes(folder: str, outcomes: Iterable[Any]) -> None:
    """Write what became of every source of the stage in a folder, dataclasses that are as `Told`
    says; the column `outcome` holds each as JSON."""
    rows = [
        {"source": each.name, "fingerprint": each.fingerprint, "kind": each.kind,
         "reason": each.reason, "outcome": json.dumps(asdict(each))}
        for each in outcomes
    ]  # fmt: skip
    write_rows(storage.join(folder, SOURCES), rows, OUTCOMES)


def read_outcomes(folder: str) -> list[dict[str, Any]]:
    """What `write_outcomes` wrote, [] where it never did."""
    try:
        content = storage.read_bytes(storage.join(folder, SOURCES))
    except FileNotFoundError:
        return []
    table = pq.read_table(io.BytesIO(content), columns=["outcome"])
    return [json.loads(text) for text in table["outcome"].to_pylist()]


def write_rows(uri: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as one Parquet file, whole or not at all."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    storage.write_bytes(uri, stream.getvalue())
