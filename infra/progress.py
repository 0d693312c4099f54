"""What a stage says while it is at work: lines, and how far it is."""

import json
import math
import time

from infra.nodes import relay
from infra.nodes.terminal import BAR
from infra.text import printable

SPOKEN = 10  # seconds between two lines of a count
REDRAWN = 0.2  # seconds between two of its bars


def say(stage: str, text: str) -> None:
    """One line of progress; of a worker, too, it comes out where the driver's do."""
    relay.line(printable(f"[{stage}] {text}"))


class Count:
    """Says how many of `total` things of a stage are done, from `begun` on, and how long is left:
    on a terminal by a bar, in a log by a line, at most every `SPOKEN` seconds."""

    def __init__(self, stage: str, total: int, things: str, begun: int = 0) -> None:
        self.stage, self.total, self.things, self.begun = stage, total, things, begun
        self.started = self.spoken = time.monotonic()
        self.drawn = -math.inf

    def done(self, number: int, short: str = "", line: str | None = None) -> None:
        """So many are done by now; `short` goes beside the bar, or into the line of a log, and
        `line`, where it is given, into a log in any case."""
        now = time.monotonic()
        if line is None and now - self.spoken > SPOKEN:
            line = f"{number} of {self.total} {self.things}" + f", {short}" * bool(short)
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
        relay.line(BAR + json.dumps([about, line]))


def _interval(seconds: float) -> str:
    from tqdm import tqdm

    return tqdm.format_interval(seconds)
