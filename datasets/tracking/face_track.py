"""The boxes of one face, from one frame in which it is looked for (a key) to the next."""

from dataclasses import dataclass
from math import comb
from statistics import median

import numpy as np
from numpy.typing import NDArray

from datasets.tracking.boxes import Seen, Square, widen


@dataclass
class FaceTrack:
    """A face in a shot: `boxes` holds one box a key from key `first` on, until it is lost, and
    `scores` those of the detector.

    `small` ones have no `number` yet. It was `missed` in so many of the last keys, `seen` in so
    many in all, and is `sure` to be a face once that is enough.
    """

    first: int
    boxes: list[Square]
    scores: list[float]
    small: bool
    number: int = -1
    missed: int = 0
    seen: int = 1
    sure: bool = False

    @property
    def end(self) -> int:
        """The last key in which the face was seen."""
        return self.first + len(self.boxes) - 1

    def see(self, face: Seen) -> None:
        """Adds a key, after those that were missed, on a line from the last seen."""
        start, steps = np.array([*self.boxes[-1], self.scores[-1]]), self.missed + 1
        for step in range(1, steps):
            line = start + (np.array([*face.box, face.score]) - start) * step / steps
            x, y, side, score = line.tolist()
            self.boxes.append((x, y, side))
            self.scores.append(score)
        self.boxes.append(face.box)
        self.scores.append(face.score)
        self.missed = 0
        self.seen += 1

    def begin_at(self, key: int) -> None:
        """Leaves out the keys before `key`."""
        del self.boxes[: key - self.first], self.scores[: key - self.first]
        self.first = key

    def seen_before(self, face: Seen) -> None:
        """Adds the key before its first."""
        self.boxes.insert(0, face.box)
        self.scores.insert(0, face.score)
        self.first -= 1
        self.seen += 1

    def score(self, key: int, part: float) -> float:
        """Gives the score at a `part` of the way to `key` from the key before it."""
        end = self.scores[key - self.first]
        if part == 1:  # so at its first key, before which there is none
            return end
        return (1 - part) * self.scores[key - self.first - 1] + part * end

    def smooth(self, key: int, radius: int) -> NDArray[np.float64]:
        """Gives the box at `key`, averaged over the keys around it: as many before as after, so
        fewer near the ends, where a steady motion would otherwise be bent. At an end it is as large
        as the median of the three nearest: one box may be a fifth too large, and that of the first
        settles at which scale a track is cut."""
        at, end = key - self.first, len(self.boxes) - 1
        inner = min(radius, at, end - at)
        weights = np.array([comb(2 * inner, i) for i in range(2 * inner + 1)], float)
        near = np.array(self.boxes[at - inner : at + inner + 1])
        box = weights @ near / weights.sum()
        if inner or not radius:
            return box
        side = median(each[2] for each in (self.boxes[:3] if at == 0 else self.boxes[-3:]))
        return np.array(widen(tuple(box), side / box[2]))
