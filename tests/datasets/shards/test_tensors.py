"""Columns of tensors in memory and as stored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.shards.tensors import arrays, pack, unpack


def table(rows: int, shape: tuple[int, ...], dtype: str = "uint8") -> tuple[pa.Table, np.ndarray]:
    count = rows * int(np.prod(shape))
    values = np.arange(count).astype(dtype).reshape(rows, *shape)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    fields = [
        pa.field("name", pa.string(), nullable=False),
        pa.field("image", column.type, nullable=False, metadata={"description": "a picture"}),
    ]
    names = pa.array([str(row) for row in range(rows)])
    schema = pa.schema(fields, metadata={"version": "2"})
    return pa.Table.from_arrays([names, column], schema=schema), values


@settings(max_examples=30)
@given(
    rows=st.integers(1, 9),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from(["uint8", "float32", "int64"]),
    begin=st.integers(0, 8),
)
def test_a_table_comes_back_from_its_stored_form(
    rows: int, shape: tuple[int, ...], dtype: str, begin: int
) -> None:
    original, values = table(rows, shape, dtype)
    stored = pack(original)
    assert pa.types.is_fixed_size_binary(stored.schema.field("image").type)
    back = unpack(stored)
    assert back.equals(original) and back.schema.equals(original.schema, check_metadata=True)
    for form in (original, stored):
        part = arrays(form.slice(begin))
        np.testing.assert_array_equal(part["image"], values[begin:])
        assert part["name"].tolist() == [str(row) for row in range(begin, rows)]


def test_packing_twice_changes_nothing() -> None:
    stored = pack(table(3, (2, 2))[0])
    assert pack(stored).equals(stored)


def test_pieces_of_several_files_are_one_array() -> None:
    stored, values = pack(table(4, (2, 3))[0]), table(4, (2, 3))[1]
    both = pa.concat_tables([stored.slice(2), stored.slice(0, 3)])
    found = arrays(both)["image"]
    np.testing.assert_array_equal(found, np.concatenate([values[2:], values[:3]]))


def test_a_file_says_how_to_read_it_without_this_code(tmp_path: Path) -> None:
    original, values = table(3, (2, 5, 3))
    pq.write_table(pack(original), tmp_path / "a.parquet")
    plain = pq.read_table(tmp_path / "a.parquet")
    said = plain.schema.field("image").metadata
    assert said[b"description"] == b"a picture"
    shape = [int(side) for side in said[b"shape"].split(b",")]
    for row, value in zip(values, plain["image"].to_pylist(), strict=True):
        found = np.frombuffer(value, said[b"dtype"].decode()).reshape(shape)
        np.testing.assert_array_equal(found, row)


def test_other_binary_columns_stay_as_they_are() -> None:
    stored = pa.table({"hash": pa.array([b"1234"], pa.binary(4))})
    assert unpack(stored).equals(stored)
    with pytest.raises(KeyError):
        arrays(stored)["image"]
