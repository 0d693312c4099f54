"""Runs iterators in threads, a few items ahead of their reader."""

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(make: Callable[[], Generator[Item]], depth: int) -> Generator[Item]:
    """Yields from the generator `make()`, which a thread runs at most `depth` items ahead.

    An error in the thread is raised here. The thread ends with this generator.
    """
    ready: queue.Queue[Item | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            with closing(make()) as items:
                for item in items:
                    put(item)
                    if stop.is_set():
                        return
            put(None)
        except BaseException as error:  # handed to the reader, whatever it is
            put(error)

    thread = threading.Thread(target=work, name="shard-reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def in_turn(parts: list[Generator[Item]]) -> Generator[Item]:
    """Yields an item of each part in turn, until one of them ends; then all are closed."""
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(closing(part))
        while True:
            for part in parts:
                try:
                    item = next(part)
                except StopIteration:
                    return
                yield item
