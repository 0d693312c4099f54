"""What the Ray tasks that read sources share: storage that fails ends them in one line."""

from collections.abc import Callable, Iterator
from typing import Any

import ray.data

from infra import outages
from infra.errors import FacestackError, FaultError, InputError

Row = dict[str, Any]


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
