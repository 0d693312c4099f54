"""Spans of films that were located, or restored, without a film."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.sources.layouts import Source
from workflows.enhancement.spans import Film, Model, Span, TrackPart

MODEL = Model("weights.safetensors", 64 * "a", "f1", 4, 8, 0)  # 8 → 32 pixels


def a_film(name: str = "a/v.mp4", rate: Fraction = Fraction(25)) -> Film:
    """A film of 64×48 pixels that is not there."""
    return Film(Source(f"/x/{name}", name, "a", "video"), rate, 64, 48, 1.0)


def a_part(frames: int, track: int = 0, first: int = 0, seed: int = 0, **fields: Any) -> TrackPart:
    """A whole track of noise, restored, that is shown at 25 frames/s."""
    chance = np.random.default_rng((seed, track, first))
    squares = np.column_stack([chance.uniform(0, 20, (frames, 2)), np.full(frames, 10.0)])
    part = TrackPart(
        track, first, True, True, True, "", (first + np.arange(frames)) / 25, squares, squares + 1,
        chance.uniform(0, 1, frames).astype(np.float32),
        chance.integers(0, 256, (frames, 8, 8, 3), np.uint8),
        chance.integers(0, 256, (frames, 32, 32, 3), np.uint8),
        chance.uniform(20, 40, frames).astype(np.float32),
        chance.uniform(1, 200, frames).astype(np.float32),
    )  # fmt: skip
    part = replace(part, **fields)
    return replace(part, before=part.low[:0], after=part.low[:0])


def tracks_of(spans: Iterable[Span]) -> dict[int, TrackPart]:
    """The parts of each track, joined; of what differs from part to part that of the first."""
    parts: dict[int, list[TrackPart]] = {}
    for span in spans:
        for part in span.parts:
            parts.setdefault(part.track, []).append(part)
    return {number: _joined(those) for number, those in parts.items()}


def _joined(parts: list[TrackPart]) -> TrackPart:
    def all_of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    names = ("times", "crops", "faces", "scores", "low", "sharpness", "restored", "consistency")
    return replace(
        parts[0], ends=parts[-1].ends, after=parts[-1].after,
        **{name: all_of(name) for name in names},
    )  # fmt: skip


class Uncounted:
    """Takes the place of `JobCounts` where no worker dies."""

    def __init__(self) -> None:
        self.counters: dict[str, _NoCounter] = {}

    def of(self, key: str) -> "_NoCounter":
        """A counter that does not count."""
        return self.counters.setdefault(key, _NoCounter())


class _NoCounter:
    def __init__(self) -> None:
        self.word: dict[str, Any] | None = None

    def leave(self, word: dict[str, Any]) -> None:
        """Keeps it."""
        self.word = word

    def left(self) -> dict[str, Any] | None:
        """What was said last."""
        return self.word

    def begin(self) -> int:
        """The first attempt."""
        return 0

    def end(self) -> None:
        """Nothing is kept."""

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """No death is told from another."""
        yield


class Untold:
    """Takes the place of `Progress`: keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def expect(self, *told: Any) -> None:
        """What a reader tells."""
        self.told.append(("expect", *told))

    def read(self, *told: Any) -> None:
        """What a reader tells of frames without a face."""
        self.told.append(("read", *told))

    def write(self, *told: Any) -> None:
        """What a reader and a writer tell of a film of several spans."""
        self.told.append(("write", *told))

    def add(self, *told: Any) -> None:
        """What a restorer tells."""
        self.told.append(("add", *told))
