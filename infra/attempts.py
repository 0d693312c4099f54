"""An end to work that hangs, and to work that kills its process again and again.

Ray starts a task anew for ever when its worker dies. An input that crashes the decoder, or that
takes all memory, would so hold up a job for good. Work is therefore counted before it begins: in
storage (`FileCounter`), or without a request to it by an actor of the job (`nodes.counts`).
"""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from infra import storage
from infra.errors import InputError

ATTEMPTS = 3
SUFFIX = ".attempts"
_seconds: float | None = None  # of the clock of this process, where it has one


class AttemptsError(InputError):
    """Work has killed its process, or had it killed, too often."""

    @classmethod
    def after(cls, made: int, seconds: float | None) -> Self:
        """The error after so many attempts, each of which was allowed `seconds`."""
        return cls(
            f"its process died {made} times: a crash of the decoder, too little memory"
            + (f", or work of more than {seconds:g} s" if seconds else ""),
            "its process died",
        )


class Counter(Protocol):
    """Counts the attempts at one piece of work, whatever becomes of the process that makes them."""

    def begin(self) -> int:
        """Count an attempt; says how many were made before."""
        ...

    def end(self) -> None:
        """Forget them."""
        ...


@dataclass(frozen=True)
class FileCounter:
    """Keeps the number in the file `record`: three requests for each attempt that ends well."""

    record: str

    def begin(self) -> int:
        """Count an attempt; says how many were made before."""
        made = int(storage.read_json(self.record)) if storage.exists(self.record) else 0
        storage.write_json(self.record, made + 1)
        return made

    def end(self) -> None:
        """Remove the file."""
        storage.remove(self.record)


@contextmanager
def attempt(counter: Counter, seconds: float | None = None, most: int = ATTEMPTS) -> Iterator[None]:
    """Count an attempt while the block runs, and allow it `seconds` if given.

    A block that takes longer ends with its process, even inside of a C function that never
    returns. One that ends, with an error or not, is forgotten. Raises AttemptsError in place of
    one attempt more than `most`.
    """
    made = counter.begin()
    if made >= most:
        counter.end()
        raise AttemptsError.after(made, seconds)
    if seconds:
        _start_clock(seconds)
    try:
        yield
    finally:
        if seconds:
            stop_clock()
        counter.end()


def stop_clock() -> None:
    """Allow the rest of the block of `attempt` all the time that it takes."""
    global _seconds
    faulthandler.cancel_dump_traceback_later()
    _seconds = None


@contextmanager
def off_the_clock() -> Iterator[None]:
    """Allow this block, within that of `attempt`, all the time that it takes, such as a `yield` to
    whoever is not ready for more. What follows it has all the `seconds` again."""
    seconds = _seconds
    stop_clock()
    try:
        yield
    finally:
        if seconds:
            _start_clock(seconds)


def forget(folder: str) -> None:
    """Start counting anew below `folder`: what died with an earlier driver was not to blame."""
    for record in storage.files(folder, SUFFIX):
        storage.remove(record)


def _start_clock(seconds: float) -> None:
    global _seconds
    # Its thread needs no interpreter lock, which a C function that hangs may hold.
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    _seconds = seconds
