"""The outputs `faces` and `side_by_side`: an mp4 a track, with the times of its frames."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.video_writer import VideoFile, video_file
from workflows.enhancement.outputs.output import Output, Place
from workflows.enhancement.spans import Span, TrackPart
from workflows.shared.pictures import bare_pixels

CRF = 14
Draw = Callable[[TrackPart], NDArray[np.uint8]]  # a part to its N frames H×W×3


class TrackVideos(Output):
    """An mp4 of each track of a film, `track_NNN<ending>.mp4`, whose frames `draw` makes."""

    def __init__(self, place: Place, column: str, ending: str, what: str, draw: Draw) -> None:
        super().__init__(place)
        self.column, self.ending, self.what, self.draw = column, ending, what, draw
        self._open: dict[int, tuple[VideoFile, ExitStack]] = {}  # of tracks that go on

    def add(self, span: Span) -> None:
        for part in span.parts:
            if part.begins:
                self._begin(part)
            file, stack = self._open[part.track]
            for picture, time in zip(self.draw(part), part.times, strict=True):
                file.add(picture, float(time))
            if part.ends:
                del self._open[part.track]
                stack.close()

    def _begin(self, part: TrackPart) -> None:
        name = f"track_{part.track:03d}{self.ending}.mp4"
        notes = self.place.notes(self.what, part)
        file = video_file(self.place.uri(name), self.place.film.rate, CRF, metadata=notes)
        stack = ExitStack()
        self.stack.push(stack)  # where its track does not come to its end
        self._open[part.track] = stack.enter_context(file), stack
        self.of_tracks[part.track] = {self.column: name}


def faces(place: Place) -> TrackVideos:
    """The restored faces, S×S each."""
    return TrackVideos(place, "output", "", "restored face", lambda part: part.restored)


def side_by_side(place: Place) -> TrackVideos:
    """The network's input enlarged by nearest neighbour and by bicubic interpolation, and what it
    made of it: S×3S."""
    what = "input, bicubic, restored face"
    return TrackVideos(place, "side_by_side", "_side_by_side", what, panes)


def panes(part: TrackPart) -> NDArray[np.uint8]:
    """N×h×h×3 and N×S×S×3 → N×S×3S×3: nearest neighbour, bicubic as `Bicubic` has it, restored."""
    size = part.restored.shape[1]
    nearest = np.stack([bare_pixels(low, size) for low in part.low])
    weights = _bicubic(part.low.shape[1], size)
    bicubic = np.einsum("sh,nhwc,tw->nstc", weights, part.low, weights, optimize=True)
    return np.concatenate(
        [nearest, bicubic.round().clip(0, 255).astype(np.uint8), part.restored], 2
    )


@lru_cache
def _bicubic(side: int, size: int) -> NDArray[np.float32]:
    """How much each of `side` pixels is of each of `size`: Keys' kernel, a = -0.5."""
    each = Image.fromarray(np.eye(side, dtype=np.float32))
    return np.asarray(each.resize((size, side), Image.Resampling.BICUBIC)).T
