"""Tasks of a row or few on Ray Data: how the stages that read sources use it. Storage that fails
ends them in one line."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data

from infra import outages
from infra.errors import FacestackError, FaultError, InputError

Row = dict[str, Any]
# A task is one row while there are no more than BLOCKS of them, and at most ROWS of however many:
# a task costs the driver some 9 ms, so that a million of them would keep it busy for hours.
BLOCKS, ROWS = 4096, 16


def each(items: list[Row], task: Callable[[Row], Row], workers: int | None) -> Iterator[Row]:
    """What `task` makes of every item, in the order in which they end: `workers` at once, or as
    many as the cluster has CPUs, those that come later too.

    Raises as `rows` does.
    """
    data = dataset(items)
    size = workers and min(workers, data.num_blocks())
    return rows(
        data.map_batches(
            partial(until_fault, task),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            compute=ray.data.TaskPoolStrategy(size=size),
        )
    )


def on_actors(
    actor: type,
    arguments: tuple[Any, ...],
    items: list[Row],
    workers: int | None,
    gpus_per_worker: float,
) -> Iterator[Row]:
    """What actors, each on one CPU and its share of a GPU, make of every item, in the order in
    which they end: `workers` of them, or as many as the cluster holds, and more when it grows.

    Called with a block, an actor gives what `until_fault` does. Raises as `rows` does.
    """
    return rows(
        dataset(items).map_batches(
            actor,
            fn_constructor_args=arguments,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
            num_cpus=1,
            num_gpus=gpus_per_worker or None,
        )
    )


def dataset(items: list[Row]) -> ray.data.Dataset:
    """The items, a block a task."""
    blocks = max(min(len(items), BLOCKS), -(-len(items) // ROWS))
    return ray.data.from_items(items, override_num_blocks=blocks)


def until_fault(task: Callable[[Row], Row], block: pa.Table) -> Iterator[pa.Table]:
    """What `task` makes of each row of a block, up to the first fault (`many_until_fault`)."""
    return many_until_fault(lambda row: [task(row)], block)


def many_until_fault(task: Callable[[Row], Iterable[Row]], block: pa.Table) -> Iterator[pa.Table]:
    """The rows that `task` makes of each row of a block, as they are made. Storage that is out of
    reach, full or forbidden, and input of a kind that ends the stage, becomes a row, for the driver
    to end in one line: an exception Ray would print on pages. It is the last: the others would meet
    the same, each with all its patience."""
    try:
        with outages.reporting():
            for row in block.to_pylist():
                for made in task(row):
                    yield pa.Table.from_pylist([made])
    except FacestackError as error:
        yield pa.Table.from_pylist([row_of_fault(error)])


def row_of_fault(error: FacestackError) -> Row:
    """The row that tells of a fault."""
    return {"fault": str(error), "status": error.status}


def rows(data: ray.data.Dataset) -> Iterator[Row]:
    """The rows of such tasks; raises as `sound` does at the first that tells of a fault."""
    return map(sound, data.iter_rows())


def sound(row: Row) -> Row:
    """The row; raises FaultError, or InputError, where it tells of one."""
    if row.get("fault"):
        raise (FaultError if row["status"] == FaultError.status else InputError)(row["fault"])
    return row
