"""The frame of each track that shows its face best, as a JPEG: what the network saw beside what it
made of it."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra import storage
from workflows.enhancement.spans import Span, TrackPart
from workflows.shared.pictures import Picture, bare_pixels, jpeg

TYPICAL = 100.0  # sharpness of an input of 16×16 px that is neither sharp nor blurred
NEUTRAL = 0.92  # YuNet's median over faces of 16 px, where a detector tells no score
SURENESS = 4  # its scores of clear faces lie within 0.05, and fall little as a head turns


@dataclass
class _Best:
    """The best frame so far of a track: its index in the film, and its picture, which is a JPEG
    once the track has ended."""

    goodness: float
    frame: int
    picture: Picture | bytes


class BestFrames:
    """Writes `track_000.jpg` (000: the track) into `folder`, a URI, of each track of one film.

    A picture is S×2S: left the input, its pixels as squares, right the restored face. Of frames
    that are equally good the first is taken (`goodness`).
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._best: dict[int, _Best] = {}
        self._written: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def add(self, span: Span) -> None:
        """Compare the frames of a span with the best so far. Pictures are made when a track ends,
        so that a film of thousands of tracks holds some 10 kB of each."""
        for part in span.parts:
            self._compare(part)
            if part.ends:
                self._best[part.track].picture = _as_jpeg(self._best[part.track].picture)

    def _compare(self, part: TrackPart) -> None:
        values = goodness(part)
        index = int(values.argmax())
        so_far = self._best.get(part.track)
        if so_far is None or values[index] > so_far.goodness:
            picture = side_by_side(part.low[index], part.restored[index])
            self._best[part.track] = _Best(float(values[index]), part.first + index, picture)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            return
        for track, best in sorted(self._best.items()):
            name = f"track_{track:03d}.jpg"
            storage.write_bytes(storage.join(self._folder, name), _as_jpeg(best.picture))
            self._written.append({"track": track, "picture": name, "frame": best.frame})

    @property
    def written(self) -> dict[str, Any]:
        """`best_frames`: of each track its number, the name of its `picture` in the folder, and the
        index in the film of the `frame` that it shows."""
        return {"best_frames": self._written}


def goodness(part: TrackPart) -> NDArray[np.float64]:
    """How well each of N frames shows the face, N values in [0, 1), comparable within a track:
    a/(a + h) · s/(s + 100) · c⁴, with a the side of the face [source px], h that of the input, s
    the sharpness and c the detector's score, a sign that the face looks into the camera.

    The first two have diminishing returns, so that one sharp frame of a face far away does not
    outdo a large one. A score that is not told (NaN) counts as 0.92, a sharpness as 100.
    """
    side = part.faces[:, 2]
    size = side / (side + part.low.shape[1])
    sharp = np.nan_to_num(part.sharpness.astype(np.float64), nan=TYPICAL)
    score = np.where(np.isnan(part.scores), NEUTRAL, part.scores)
    return np.asarray(size * sharp / (sharp + TYPICAL) * score**SURENESS, np.float64)


def side_by_side(low: Picture, restored: Picture) -> Picture:
    """The input h×h×3 enlarged without smoothing, and beside it the restored S×S×3: S×2S×3."""
    return np.concatenate([bare_pixels(low, len(restored)), restored], axis=1)


def _as_jpeg(picture: Picture | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else jpeg(picture)
