"""Lines, and how far a stage is: on a terminal one bar, drawn anew in its place, in a log lines."""

import json
import os
import sys
import threading
from typing import Any

BAR = "\r"  # begins what is no line, but how far a stage is
CLEAR = "\r\x1b[K"  # the line where the cursor is
SHAPE = "{desc} {percentage:3.0f}% {bar} {n_fmt}/{total_fmt} {unit}, left {remaining}{postfix}"
_drawing = threading.Lock()
_drawn = False


def put(text: str) -> None:
    """Print a line, or how far a stage is: on a terminal its bar, elsewhere its line, if any."""
    global _drawn
    with _drawing:
        before = CLEAR if _drawn else ""
        if not text.startswith(BAR):
            print(before + text, flush=True)  # at once: a log is read while it is written
            _drawn = False
            return
        about, line = json.loads(text)
        if sys.stdout.isatty():
            # A bar that is full stays.
            _drawn = about["n"] < about["total"]
            print(before + _bar(about), end="" if _drawn else "\n", flush=True)
        elif line is not None:
            print(line, flush=True)


def leave() -> None:
    """Keep the bar that is on the terminal, if any: what comes next has lines of its own."""
    global _drawn
    with _drawing:
        if _drawn:
            print(flush=True)
        _drawn = False


def _bar(about: dict[str, Any]) -> str:
    from tqdm import tqdm  # not needed by workflows/gpu.py, which speaks before there is one

    width = (os.get_terminal_size(sys.stdout.fileno()).columns or 80) - 1
    return tqdm.format_meter(ncols=width, bar_format=SHAPE, **about)[:width]
