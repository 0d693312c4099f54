"""How far the stage enhance is: workers count the frames that they are done with, and the driver
says it, on a terminal by a bar."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.progress import Count

PAUSE = 1.0  # seconds from one look to the next


class Frames:
    """The frames of the films that were opened, by name: how many are expected, how many done.

    A film of several spans is written when all of them are restored: half of what is to be done."""

    def __init__(self) -> None:
        self.expected: dict[str, float] = {}
        self.done: dict[str, float] = {}
        self.shown: dict[str, float] = {}  # as done; never less than before
        self.written: dict[str, float] = {}  # of films of several spans

    def expect(self, film: str, frames: int) -> None:
        """A film was opened that has about so many frames; its reading begins, maybe again."""
        self.expected[film], self.done[film], self.shown[film] = frames, 0.0, 0.0
        self.written.pop(film, None)

    def add(self, film: str, frames: float) -> None:
        """So many frames more of a film are done."""
        self.done[film] = self.done.get(film, 0.0) + frames
        self.read(film, 0)

    def read(self, film: str, bare: int) -> None:
        """The last frames of a film that were read, so many, have no face. A span whose last they
        are is done later, with them: they count once."""
        self.shown[film] = max(self.shown.get(film, 0.0), self.done.get(film, 0.0) + bare)

    def write(self, film: str, frames: int) -> None:
        """A film has several spans, and so many of its frames are written."""
        self.written[film] = frames

    def close(self, film: str, frames: int) -> None:
        """A film is done, and had so many frames."""
        self.expected[film] = self.done[film] = self.shown[film] = frames
        self.written.pop(film, None)

    def sums(self) -> tuple[int, float, float]:
        """The number of films that were opened, their frames, and those that are done."""
        done = sum(min(self._done(film), frames) for film, frames in self.expected.items())
        return len(self.expected), sum(self.expected.values()), done

    def _done(self, film: str) -> float:
        shown, written = self.shown[film], self.written.get(film)
        return shown if written is None else (min(shown, self.expected[film]) + written) / 2


class Progress:
    """A worker's or the driver's way to `Frames`, which are an actor of the driver's job. What is
    told is not waited for."""

    def __init__(self) -> None:
        import ray

        self.frames: Any = ray.remote(num_cpus=0)(Frames).remote()

    def expect(self, film: str, frames: int) -> None:
        self.frames.expect.remote(film, frames)

    def add(self, film: str, frames: float) -> None:
        self.frames.add.remote(film, frames)

    def read(self, film: str, bare: int) -> None:
        self.frames.read.remote(film, bare)

    def write(self, film: str, frames: int) -> None:
        self.frames.write.remote(film, frames)

    def close(self, film: str, frames: int) -> None:
        self.frames.close.remote(film, frames)

    @contextmanager
    def told(self, stage: str, films: int) -> Iterator[None]:
        """Say, while the block runs, how far all `films` are."""
        ended = threading.Event()
        thread = threading.Thread(
            target=self._tell, args=(stage, films, ended), name="progress", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10 * PAUSE)

    def _tell(self, stage: str, films: int, ended: threading.Event) -> None:
        import ray

        begun, count = time.monotonic(), Count(stage, 0, "frames")
        while not ended.wait(PAUSE):
            try:
                opened, expected, done = ray.get(self.frames.sums.remote(), timeout=10)
            except ray.exceptions.RayError:  # the end of all this is told elsewhere
                continue
            if not done:
                continue
            # Films that no worker has opened are taken to be as long as the others.
            count.total = max(round(expected / opened * films), round(done))
            rate = done / (time.monotonic() - begun)
            count.done(round(done), short=f"{rate:.1f} frames/s")
