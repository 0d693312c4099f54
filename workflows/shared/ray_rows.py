"""One task a row on Ray Data: how the stages that read sources use it. Storage that fails ends them
in one line."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import ray.data

from infra import outages
from infra.errors import FacestackError, FaultError, InputError

Row = dict[str, Any]
BLOCKS = 4096  # of one row each while there are no more rows: a task is then one row


def each(items: list[Row], task: Callable[[Row], Row], workers: int) -> Iterator[Row]:
    """What `task` makes of every item, `workers` at once, in the order in which they end.

    Raises as `rows` does.
    """
    return rows(
        dataset(items).map(
            partial(faults_as_rows, task),
            num_cpus=1,
            compute=ray.data.TaskPoolStrategy(size=min(workers, len(items))),
        )
    )


def dataset(items: list[Row]) -> ray.data.Dataset:
    """The items, a block each as far as that goes."""
    return ray.data.from_items(items, override_num_blocks=min(len(items), BLOCKS))


def faults_as_rows(task: Callable[..., Row], *arguments: Any) -> Row:
    """Run a task; storage that is out of reach, full or forbidden, and input of a kind that ends
    the stage, becomes its row, for the driver to end in one line: an exception Ray would print on
    pages."""
    try:
        with outages.reporting():
            return task(*arguments)
    except FacestackError as error:
        return {"fault": str(error), "unusable": isinstance(error, InputError)}


def rows(data: ray.data.Dataset) -> Iterator[Row]:
    """The rows of such tasks; raises FaultError, or InputError, at the first that tells of one."""
    for row in data.iter_rows():
        if row.get("fault"):
            raise (InputError if row["unusable"] else FaultError)(row["fault"])
        yield row
