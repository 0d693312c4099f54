"""What processes take: processor time and memory of a process with all that it started."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

PERIOD = 0.25  # seconds between two looks at the memory


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


def peak_memory(command: list[str], log: Path) -> int:
    """Runs a command to its end and gives the largest memory [bytes] of it and its descendants.

    Shared pages count once (PSS). Output goes to `log`. Raises ValueError where it fails.
    """
    largest = 0
    with log.open("wb") as stream:
        started = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        while started.poll() is None:
            largest = max(largest, sum(map(_memory, _tree(started))))
            time.sleep(PERIOD)
    if started.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ValueError(f"{' '.join(command)}: ended with {started.returncode}: {said[-1:]}")
    return largest


def python(script: Path, *words: object) -> list[str]:
    """The command that runs a script of this checkout."""
    return [sys.executable, str(script), *map(str, words)]


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
