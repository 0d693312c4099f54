import threading
import time
from collections.abc import Iterator

import pytest

from datasets.shards.prefetch import read_ahead
from tests.support.waiting import until


def test_items_come_in_order_and_the_thread_ends_with_them() -> None:
    before = set(threading.enumerate())
    assert list(read_ahead(lambda: (i for i in range(20)), 3)) == list(range(20))
    assert not set(threading.enumerate()) - before


def test_an_error_of_the_thread_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("a shard is gone")

    before = set(threading.enumerate())
    items = read_ahead(broken, 2)
    assert next(items) == 1
    with pytest.raises(OSError, match="a shard is gone"):
        next(items)
    assert not set(threading.enumerate()) - before


def test_an_error_before_the_first_item_too() -> None:
    def make() -> Iterator[int]:
        raise OSError("no shard")

    with pytest.raises(OSError, match="no shard"):
        next(read_ahead(make, 2))


def test_no_more_than_the_depth_is_made_ahead_and_closing_ends_the_source() -> None:
    made, closed = 0, False

    def source() -> Iterator[int]:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield made
        finally:
            closed = True

    items = read_ahead(source, 2)
    assert next(items) == 1
    until(lambda: made >= 4, "what is made ahead")  # one taken, two waiting, one in hand
    time.sleep(0.2)  # for what should not come
    assert made == 4
    items.close()  # type: ignore[attr-defined]
    assert closed
