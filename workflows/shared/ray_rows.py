"""Tasks of a row or few on Ray Data: how the stages that read sources use it. Storage that fails
ends them in one line."""

from collections.abc import Callable, Iterator
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
    """What `task` makes of each row of a block. The first that tells of a fault is the last: the
    others would meet the same, each with all its patience."""
    for row in block.to_pylist():
        made = faults_as_rows(task, row)
        yield pa.Table.from_pylist([made])
        if made.get("fault"):
            return


def faults_as_rows(task: Callable[..., Row], *arguments: Any) -> Row:
    """Run a task; storage that is out of reach, full or forbidden, and input of a kind that ends
    the stage, becomes its row, for the driver to end in one line: an exception Ray would print on
    pages."""
    try:
        with outages.reporting():
            return task(*arguments)
    except FacestackError as error:
        return {"fault": str(error), "status": error.status}


def rows(data: ray.data.Dataset) -> Iterator[Row]:
    """The rows of such tasks; raises FaultError, or InputError, at the first that tells of one."""
    for row in data.iter_rows():
        if row.get("fault"):
            raise (FaultError if row["status"] == FaultError.status else InputError)(row["fault"])
        yield row
