"""What a stage says while it is at work: lines; how far it is on a terminal one bar, drawn anew in
its place, and in a log lines as well."""

import json
import math
import os
import sys
import threading
import time
from typing import Any

from infra.nodes import relay
from infra.text import printable

SPOKEN = 10  # seconds between two lines of a count
REDRAWN = 0.2  # seconds between two of its bars
BAR = "\r"  # begins what is no line, but how far a stage is
CLEAR = "\r\x1b[K"  # the line where the cursor is
SHAPE = "{desc} {percentage:3.0f}% {bar} {n_fmt}/{total_fmt} {unit}, left {remaining}{postfix}"
_drawing = threading.Lock()
_drawn = False


def say(stage: str, text: str) -> None:
    """One line of progress; of a worker, too, it comes out where the driver's do."""
    put(printable(f"[{stage}] {text}"))


class Count:
    """Says how many of `total` things of a stage are done, from `begun` on, and how long is left:
    on a terminal by a bar, in a log by a line, at most every `SPOKEN` seconds."""

    def __init__(self, stage: str, total: int, things: str, begun: int = 0) -> None:
        self.stage, self.total, self.things, self.begun = stage, total, things, begun
        self.started = self.spoken = time.monotonic()
        self.drawn = -math.inf

    def done(self, number: int, short: str = "", line: str | None = None) -> None:
        """So many are done by now; `short` goes beside the bar, and `line`, where it is given, into
        a log in any case."""
        now = time.monotonic()
        if line is None and now - self.spoken > SPOKEN:
            line = f"{number} of {self.total} {self.things}"
        if line is None and number < self.total and now - self.drawn < REDRAWN:
            return
        seconds = now - self.started
        if line is not None:
            self.spoken = now
            if number > self.begun and number < self.total:
                left = seconds / (number - self.begun) * (self.total - number)
                line += f"  left {_interval(left)}"
            line = printable(f"[{self.stage}] {line}")
        self.drawn = now
        about = {"n": number, "total": self.total, "elapsed": seconds, "initial": self.begun,
                 "prefix": self.stage, "unit": self.things, "postfix": short}  # fmt: skip
        put(BAR + json.dumps([about, line]))


def put(text: str) -> None:
    """Say a line, or how far a stage is; of a worker it comes out where the driver's do."""
    relay.line(text, show)


def show(text: str) -> None:
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


def _interval(seconds: float) -> str:
    from tqdm import tqdm

    return tqdm.format_interval(seconds)
