"""Ways that run without Ray, each in a process of its own, which keeps what it has loaded."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from datasets.sources.layouts import Source
from workflows.enhancement.spans import Model
from workflows.enhancement.steps.locate import Wanted
from workflows.shared.source_survey import find


@dataclass(frozen=True)
class Job:
    """What is done with the films below a `folder`: the faces that are `wanted` restored by a
    `model` on a `device`; `blur_sigma` [high px] is that of its training."""

    folder: str
    wanted: Wanted
    model: Model
    blur_sigma: float | None
    device: str

    @property
    def films(self) -> list[Source]:
        """The films, in order of their names."""
        return find(self.folder).sources


@dataclass(frozen=True)
class Taken:
    """Seconds of the `clock` and of the processors that a number of `faces` took, and the
    processor time of `parts` of the work."""

    clock: float
    busy: float
    faces: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The same in words."""
        return (
            f"{self.clock:.1f} s, {self.faces / self.clock:.1f} faces/s, {self.busy:.1f} s of "
            "processors"
        )


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Let this thread, and the processes and threads that it starts, use the first `count` of the
    cores that it may use, while the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def apart(cores: int, variables: Mapping[str, str]) -> Iterator[Callable[..., Any]]:
    """A process on so many `cores`, with `variables` in its environment, that calls what it is
    given, a function and its arguments, and gives the result."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with on_cores(cores), patch.dict(os.environ, variables):
            pool.submit(os.getpid).result()  # it starts with the first call
        yield lambda call, *given: pool.submit(call, *given).result()
