"""The Parquet tables that a stage leaves beside its results: errors and manifests."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra import storage

ERRORS = pa.schema([("uri", pa.string()), ("stage", pa.string()), ("reason", pa.string())])


def write_errors(uri: str, errors: list[tuple[str, str, str]]) -> None:
    """Write the errors table (uri, stage, reason), with no row where nothing failed."""
    names = ERRORS.names
    rows = [dict(zip(names, error, strict=True)) for error in sorted(errors)]
    write_rows(uri, rows, ERRORS)


def write_rows(uri: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as one Parquet file, whole or not at all."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    storage.write_bytes(uri, stream.getvalue())
