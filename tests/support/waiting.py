"""Waiting for what another process does: for a condition, and for no length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
# Seconds after which what is waited for is taken to hang. It judges no speed: a machine with ten
# other things to do takes ten times as long.
PATIENCE = 1200


def until(condition: Callable[[], Found], what: str, pause: float = 0.05) -> Found:
    """What `condition` gives as soon as that is true; the test fails where it never is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(pause)
    return found
