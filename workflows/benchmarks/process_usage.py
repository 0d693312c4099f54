"""What processes take: processor time and memory of a process with all that it started."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.errors import FaultError
from infra.provenance import ROOT
from workflows.benchmarks.inputs import draw_videos

SCRIPT = ROOT / "workflows" / "preprocess.py"
FRAMES = 200  # of the shorter films
PERIOD = 0.25  # seconds between two looks


def busy_seconds() -> float:
    """Processor time of this process and of its descendants so far, those that ended included."""
    total = 0.0
    for process in _tree(psutil.Process()):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue  # it ended; its parent counts it among its children
        total += times.user + times.system + times.children_user + times.children_system
    return total


class Watch:
    """Tells the processor time of this process and its descendants, at which it looks again and
    again (`watching`): Ray's daemon lets its workers end without a word of what they took.

    What a process takes between the last look and its end is not seen, `PERIOD` / 2 at the mean.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        self._looking = 0.0  # seconds that the looks have taken themselves
        self._lock = threading.Lock()

    def busy_seconds(self) -> float:
        """Processor time so far, that of ended processes included and that of looking not."""
        with self._lock:
            self._look()
            return sum(self._seen.values()) - self._looking

    def look_until(self, over: threading.Event) -> None:
        """Look every `PERIOD`."""
        while not over.wait(PERIOD):
            with self._lock:
                self._look()

    def _look(self) -> None:
        begun = time.thread_time()
        for process in _tree(psutil.Process()):
            try:
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue  # it ended
        self._looking += time.thread_time() - begun


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch that looks while the block runs."""
    watch, over = Watch(), threading.Event()
    thread = threading.Thread(target=watch.look_until, args=(over,), name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def peak_memory(command: list[str], log: Path) -> int:
    """Runs a command to its end and gives the largest memory [bytes] of it and its descendants.

    Shared pages count once (PSS). Output goes to `log`. Raises FaultError where it fails.
    """
    largest = 0
    with log.open("wb") as stream:
        started = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        while started.poll() is None:
            largest = max(largest, sum(map(_memory, _tree(started))))
            time.sleep(PERIOD)
    if started.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise FaultError(f"{' '.join(command)}: ended with {started.returncode}: {said[-1:]}")
    return largest


def stage_memory(folder: Path, min_face: int) -> dict[str, int]:
    """Peak memory [bytes] of preprocess.py on two films, "1", and on two ten times as long, "10".

    A clip is made at every frame, so that what is written grows as well, and shards are so small
    that there are some for both workers of the shorter films too: what is compared is a machine at
    work, and not how many processes had something to do.
    """
    peaks = {}
    for name, frames in (("1", FRAMES), ("10", 10 * FRAMES)):
        draw_videos(folder / f"films {name}", 2, frames)
        command = [
            sys.executable, SCRIPT, "--source", folder / f"films {name}",
            "--run", folder / f"run {name}",
            "--preprocess.faces", "detect", "--preprocess.detector", "haar",
            "--preprocess.min-face", min_face, "--preprocess.clip-stride", 1,
            "--clip.size", 128, "--clip.scale", 8, "--preprocess.shard-megabytes", 4,
        ]  # fmt: skip
        peaks[name] = peak_memory([str(word) for word in command], folder / f"log {name}")
    return peaks


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
