"""Memory that is given back while films are read."""

import gc
import subprocess
import sys
from pathlib import Path

import av
import pytest

from datasets.sources import memory
from tests.support.films import film, numbered, read

HOLES = """
import psutil
from datasets.sources import memory

def resident():
    return psutil.Process().memory_info().rss

pairs = [(b"x" * {large}, bytearray({small})) for _ in range({count})]
small = [stays for _, stays in pairs]
del pairs
before = resident()
memory.give_back()
print(before - resident())
"""
SMALL, LARGE, COUNT = 1_000, 100_000, 1_000  # bytes, below what malloc maps apart; pairs


def test_holes_in_the_heap_are_given_back() -> None:
    """100 MB between small things that stay: freed, the C library keeps them until it is asked.

    In a process of its own: the heap of one that has worked has room for the small things
    elsewhere, and then nothing keeps the C library from giving the large ones back by itself.
    """
    script = HOLES.format(small=SMALL, large=LARGE, count=COUNT)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 0.5 * LARGE * COUNT


def test_once_in_so_many_frames_of_all_films(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(memory, "EVERY", 10)
    monkeypatch.setattr(memory, "_read", iter(range(1, 100)))
    monkeypatch.setattr(memory, "give_back", lambda: calls.append(len(seen)))
    seen: list[int] = []
    for length in (4, 4, 17):  # films shorter than that are counted together
        seen.extend(memory.giving_back(range(length)))
    assert seen == [*range(4), *range(4), *range(17)]
    assert len(calls) == 2


def test_frames_do_not_wait_for_the_garbage_collector(tmp_path: Path) -> None:
    """It does not know how large they are: of 4K ones there could be gigabytes before it looks."""
    path = film(tmp_path / "v.mp4", numbered(20))
    gc.collect()
    gc.disable()
    try:
        assert len(read(path)[0]) == 20
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert [found for found in gc.garbage if isinstance(found, av.VideoFrame)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
