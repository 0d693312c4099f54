"""Tensor columns: Arrow's own fixed-shape tensors, and packed as fixed-size binary.

Parquet knows a fixed-shape tensor only as a list of numbers and reads one pixel at a time; as
binary a whole image is one value. So parts, from which shards are put together row by row, are
packed. Shards are not: any Arrow reads their tensors as such (docs/decisions/005).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SHAPE, DTYPE = b"shape", b"dtype"  # such as b"25,16,16,3" and b"uint8"


def pack(table: pa.Table) -> pa.Table:
    """Gives the table as it is stored: tensor columns as fixed-size binary, others as they are."""
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if isinstance(field.type, pa.FixedShapeTensorType):
            values = np.ascontiguousarray(_whole(column).to_numpy_ndarray())
            field = _packed_field(field)
            buffers = [None, pa.py_buffer(values)]
            column = pa.Array.from_buffers(field.type, len(values), buffers)
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def unpack(table: pa.Table) -> pa.Table:
    """Gives the table as it was before `pack`; other columns stay as they are."""
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if _is_packed(field):
            values = to_numpy(column, field)
            column = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
            others = {k: v for k, v in field.metadata.items() if k not in (SHAPE, DTYPE)}
            field = pa.field(field.name, column.type, field.nullable, others or None)
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def byte_width(column: pa.DataType) -> int:
    """Bytes of a value of a tensor column, packed or not; 0 of any other column."""
    if isinstance(column, pa.FixedShapeTensorType):
        return int(np.prod(column.shape)) * column.value_type.bit_width // 8
    return column.byte_width if pa.types.is_fixed_size_binary(column) else 0


def arrays(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Gives every column by name: tensors, packed or not, as N×shape, numbers as N of their own
    type, text as N objects. Large ones are read-only views of the table."""
    return {field.name: to_numpy(table[field.name], field) for field in table.schema}


def to_numpy(column: pa.ChunkedArray, field: pa.Field) -> NDArray[Any]:
    """Gives one column as `arrays` does; `field` is its field in the table's schema."""
    array = _whole(column)
    if isinstance(array.type, pa.FixedShapeTensorType):
        return np.asarray(array.to_numpy_ndarray())
    if not _is_packed(field):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    shape = [int(side) for side in field.metadata[SHAPE].split(b",")]
    begin, width = array.offset, array.type.byte_width
    content = memoryview(array.buffers()[1])[begin * width : (begin + len(array)) * width]
    return np.frombuffer(content, field.metadata[DTYPE].decode()).reshape(len(array), *shape)


def _packed_field(field: pa.Field) -> pa.Field:
    dtype, shape = np.dtype(field.type.value_type.to_pandas_dtype()), field.type.shape
    width = int(np.prod(shape)) * dtype.itemsize
    described = {SHAPE: ",".join(map(str, shape)).encode(), DTYPE: dtype.name.encode()}
    metadata = (field.metadata or {}) | described
    return pa.field(field.name, pa.binary(width), field.nullable, metadata)


def _is_packed(field: pa.Field) -> bool:
    return pa.types.is_fixed_size_binary(field.type) and SHAPE in (field.metadata or {})


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
