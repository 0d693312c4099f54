"""What is set for a process: the user's environment goes first."""

import os
from pathlib import Path

import cv2
import pytest
import torch

from infra import process


def test_defaults_leave_alone_what_is_said_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESTACK_SAID", "mine")
    monkeypatch.delenv("FACESTACK_UNSAID", raising=False)
    process.set_defaults({"FACESTACK_SAID": "other", "FACESTACK_UNSAID": "default"})
    assert (os.environ["FACESTACK_SAID"], os.environ["FACESTACK_UNSAID"]) == ("mine", "default")
    monkeypatch.delenv("FACESTACK_UNSAID")


def test_threads_of_all_that_is_loaded() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        process.limit_threads(2)
        assert torch.get_num_threads() == 2
        assert cv2.getNumThreads() in (1, 2)  # OpenCV counts no more than there are cores
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_is_limited_while_the_block_runs_and_not_longer() -> None:
    """Blocks may end in another order than they began, as generators do."""
    with process.limited_memory(100):
        assert len(bytearray(50 << 20)) == 50 << 20
        with pytest.raises(MemoryError):
            bytearray(200 << 20)
    first, second = process.limited_memory(100), process.limited_memory(100)
    for block in (first, second):
        block.__enter__()
    for block in (first, second):
        block.__exit__(None, None, None)
    assert len(bytearray(200 << 20)) == 200 << 20


def test_nothing_that_lets_one_in_is_passed_on() -> None:
    """It would stand in Ray's logs, on command lines, and in what the dashboard tells anybody."""
    assert [
        name for name in process.PASSED_ON if {"KEY", "SECRET", "TOKEN"} & set(name.split("_"))
    ] == []
