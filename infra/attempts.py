"""An end to work that hangs, and to work that kills its process again and again.

Ray starts a task anew for ever when its worker dies. An input that crashes the decoder, or that
takes all memory, would so hold up a job for good. Work is therefore counted before it begins.
"""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from infra import storage
from infra.errors import InputError

ATTEMPTS = 3
SUFFIX = ".attempts"


class AttemptsError(InputError):
    """Work has killed its process, or had it killed, too often."""


@contextmanager
def attempt(record: str, seconds: float | None = None, most: int = ATTEMPTS) -> Iterator[None]:
    """Count an attempt in the file `record` while the block runs, and allow it `seconds` if given.

    A block that takes longer ends with its process, even inside of a C function that never
    returns. One that ends, with an error or not, is forgotten. Raises AttemptsError in place of
    one attempt more than `most`.
    """
    made = int(storage.read_json(record)) if storage.exists(record) else 0
    if made >= most:
        storage.remove(record)
        raise AttemptsError(
            f"its process died {made} times: a crash of the decoder, too little memory"
            + (f", or work of more than {seconds:g} s" if seconds else ""),
            "its process died",
        )
    storage.write_json(record, made + 1)
    if seconds:
        # Its thread needs no interpreter lock, which a C function that hangs may hold.
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        if seconds:
            faulthandler.cancel_dump_traceback_later()
        storage.remove(record)


def stop_clock() -> None:
    """Allow the rest of the block of `attempt` all the time that it takes."""
    faulthandler.cancel_dump_traceback_later()


def forget(folder: str) -> None:
    """Start counting anew below `folder`: what died with an earlier driver was not to blame."""
    for record in storage.files(folder, SUFFIX):
        storage.remove(record)
