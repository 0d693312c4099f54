"""The Parquet files of clips: how one is written whole, and opened again."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.clips.clip import Clip
from datasets.shards.schema import SCHEMA_VERSION, VERSION_KEY, schema
from datasets.shards.tensors import pack, unpack
from infra import storage
from infra.errors import InputError
from infra.text import one_line

PART_ROWS = 4  # rows of a row group while the shards are not yet made


class ShardError(InputError):
    """A file or folder of clips that is missing, damaged, empty or of another version."""


def table_of(clips: list[Clip]) -> pa.Table:
    """Makes a table of one row a clip; all clips must have the shapes of the first."""
    if not clips:
        raise ShardError("no clips: a table needs at least one to know its shapes")
    wanted = schema(clips[0].high.shape[0], clips[0].low.shape[1], clips[0].low.shape[0])
    columns = []
    for column in wanted:
        values = [getattr(clip, column.name) for clip in clips]
        if isinstance(column.type, pa.FixedShapeTensorType):
            columns.append(pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(values)))
        else:
            columns.append(pa.array(values, column.type))
    return pa.Table.from_arrays(columns, schema=wanted)


def write_clips(
    uri: str, clips: Iterable[Clip], row_group_size: int = PART_ROWS, packed: bool = False
) -> int:
    """Writes clips to the Parquet file `uri` as they come, and gives their number.

    The file appears whole or not at all. Without a clip nothing is written. Where `clips` raises,
    so does this, and nothing is left behind.
    """
    rows = iter(clips)
    tables = iter(lambda: list(islice(rows, row_group_size)), [])
    made = map(table_of, tables)
    return write_tables(uri, map(pack, made) if packed else made, row_group_size)


def write_tables(uri: str, tables: Iterable[pa.Table], row_group_size: int) -> int:
    """Writes tables of one schema to the Parquet file `uri`, atomically; gives the rows written.

    Raises FaultError where a disk refuses, and what `tables` raises as it is.
    """
    writer, count = None, 0
    with storage.whole(uri) as path:
        try:
            for table in tables:
                with storage.writing(uri):
                    writer = writer or _writer(path, table.schema)
                    writer.write_table(table, row_group_size)
                count += table.num_rows
        finally:
            if writer is not None:
                with storage.writing(uri):
                    writer.close()
    return count


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # A dictionary of at most 256 values packs a pixel into one byte; plain Parquet has no integer
    # under 32 bits. Whole images would each be an entry of their own.
    packed = any(pa.types.is_fixed_size_binary(field.type) for field in schema)
    return pq.ParquetWriter(
        path, schema, compression="lz4", use_dictionary=not packed, write_page_checksum=True,
        write_statistics=["clip_id", "identity", "video", "order"],
    )  # fmt: skip


def read_rows(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Reads a file of clips; raises `ShardError` where it is not one of this version."""
    with open_shard(uri) as file, reading(uri):
        return unpack(file.read(columns=columns, use_threads=False))


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Names the file, as a `ShardError`, where it is damaged: what is read out of an open one is
    to be read inside of this."""
    try:
        yield
    except (OSError, pa.ArrowInvalid, UnicodeError) as error:
        reason = one_line(error, 160)
        raise ShardError(
            f"{uri}: not a readable Parquet file ({reason}); preprocess again"
        ) from error


def open_shard(uri: str) -> pq.ParquetFile:
    """Opens a file of clips and checks its version; the caller closes it.

    What it reads of a part is packed: see `tensors`.
    """
    filesystem, path = storage.file_system(uri)
    with reading(uri):
        # Of an object, a row group is one request, for its own bytes alone; fsspec would by itself
        # read 50 MB ahead each time.
        stream = filesystem.open(path, "rb", cache_type="none")
        file = pq.ParquetFile(
            stream, pre_buffer=not storage.is_local(uri), page_checksum_verification=True
        )
    version = (file.schema_arrow.metadata or {}).get(VERSION_KEY, b"none").decode()
    if version != SCHEMA_VERSION:
        file.close(force=True)
        raise ShardError(
            f"{uri}: its clip schema is version {version}, this code reads {SCHEMA_VERSION}; "
            "preprocess again"
        )
    for field in file.schema_arrow:
        if not _is_plain(field.type):
            file.close(force=True)
            raise ShardError(
                f"{uri}: its column {field.name} is of type {one_line(field.type, 80)}, which no "
                "clip has and which may run a program when it is read; preprocess again"
            )
    return file


def _is_plain(kind: pa.DataType) -> bool:
    """Whether it is a type that clips have. Ray adds one to Arrow whose values are pickled, and
    which is unpickled wherever Ray is loaded, within other types, too."""
    return isinstance(kind, pa.FixedShapeTensorType) or not (
        isinstance(kind, pa.BaseExtensionType)
        or pa.types.is_nested(kind)
        or pa.types.is_dictionary(kind)
    )


class OpenShards:
    """Files of clips by name, of which the ones used last stay open."""

    def __init__(self, kept: int = 16) -> None:
        self.kept = kept
        self.files: OrderedDict[str, pq.ParquetFile] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def file(self, uri: str) -> pq.ParquetFile:
        """Gives the file, opened by `open_shard`; it may be closed at the next call."""
        if uri not in self.files:
            self.files[uri] = open_shard(uri)
        self.files.move_to_end(uri)
        while len(self.files) > self.kept:
            self.files.popitem(last=False)[1].close(force=True)
        return self.files[uri]

    def close(self) -> None:
        """Closes all files."""
        while self.files:
            self.files.popitem()[1].close(force=True)


def identities(uris: Iterable[str]) -> list[str]:
    """Lists the identities in files of clips, sorted; the index in this list serves as label."""
    found: set[str] = set()
    for uri in uris:
        found.update(read_rows(uri, ["identity"])["identity"].unique().to_pylist())
    return sorted(found)
