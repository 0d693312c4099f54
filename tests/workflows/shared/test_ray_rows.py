"""How items become small tasks, and that a fault ends its task at once."""

import math
from types import SimpleNamespace

import pyarrow as pa
import pytest

from infra.errors import FaultError
from workflows.shared import ray_rows
from workflows.shared.ray_rows import Row, dataset, rows, until_fault


@pytest.mark.parametrize(
    ("items", "blocks"), [(1, 1), (4096, 4096), (4097, 4096), (65_536, 4096), (65_537, 4097)]
)
def test_a_task_is_one_row_or_few(items: int, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: progress goes by that many, and a task that dies loses no more."""
    asked: list[int] = []
    found = SimpleNamespace(
        from_items=lambda _, override_num_blocks: asked.append(override_num_blocks)
    )
    monkeypatch.setattr(ray_rows.ray, "data", found)
    dataset([{}] * items)
    assert asked == [blocks]
    assert math.ceil(items / blocks) <= 16


def test_no_row_is_tried_after_a_fault() -> None:
    tried = []

    def task(row: Row) -> Row:
        tried.append(row["number"])
        if row["number"] == 1:
            raise FaultError("s3://a: the storage has not answered for 3 s")
        return {"done": row["number"]}

    block = pa.Table.from_pylist([{"number": number} for number in range(10)])
    made = pa.concat_tables(until_fault(task, block), promote_options="default").to_pylist()
    assert tried == [0, 1]
    stream = rows(SimpleNamespace(iter_rows=lambda: iter(made)))
    assert next(stream)["done"] == 0
    with pytest.raises(FaultError, match="has not answered for 3 s"):
        next(stream)
