"""What a stage says while it is at work: a line at a time."""

import time

from infra.text import printable

SPOKEN = 10  # seconds between two lines of a count


def say(stage: str, text: str) -> None:
    """One line of progress."""
    print(printable(f"[{stage}] {text}"), flush=True)


class Count:
    """Says how many of `total` things of a stage are done, at most every `SPOKEN` seconds."""

    def __init__(self, stage: str, total: int, things: str) -> None:
        self.stage, self.total, self.things = stage, total, things
        self.spoken = time.monotonic()

    def done(self, number: int) -> None:
        """So many are done by now."""
        if time.monotonic() - self.spoken > SPOKEN:
            say(self.stage, f"{number} of {self.total} {self.things}")
            self.spoken = time.monotonic()
