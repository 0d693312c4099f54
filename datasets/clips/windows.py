"""Cuts tracks into windows of consecutive frames, and keeps account of what became of a source."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datasets.clips.people import Span
from datasets.clips.sharpness import sharpness
from datasets.sources.footage import Footage, Frame
from datasets.tracking.camera import DISTANCES
from datasets.tracking.crops import TrackCrop
from infra.text import commonest, number_of, tallied

NO_FACE = "no face"


@dataclass(frozen=True)
class Window:
    """`num_frames` consecutive frames of one track: the crops, what `shrink` made of each (the low
    frames T×h×w×3 uint8), and the `sharpness` of the central crop."""

    crops: tuple[TrackCrop, ...]
    low: NDArray[np.uint8]
    sharpness: float


@dataclass
class Account:
    """What became of one source. It grows while the clips are read and is complete when they end.

    `tracks` counts those of faces large enough, and `rejected` by reason both the smaller ones and
    those of `tracks` that gave no clip; `blurred` counts the clips left out as too blurred,
    `treated` the frames that needed a treatment on decoding, by which. `moves` is how far the faces
    of the clips move, summed as `camera.moves` gives it, and `spans` are where its tracks lie.
    """

    frames: int = 0
    tracks: int = 0
    clips: int = 0
    blurred: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    treated: Counter[str] = field(default_factory=Counter)
    moves: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(DISTANCES), 2)))
    spans: dict[int, Span] = field(default_factory=dict)
    error: str = ""
    error_kind: str = ""

    def fail(self, reason: str, kind: str) -> None:
        """Records that the source cannot be read whole: its clips do not count."""
        self.error, self.error_kind, self.clips = reason, kind, 0

    def reason(self) -> str:
        """Says in one line why the source gave no clip; empty where it gave one."""
        if self.error:
            return self.error
        if self.clips:
            return ""
        rejected = self.rejected or Counter([NO_FACE])
        seen = number_of(self.frames, "frame")
        return f"no clip from {seen}: {tallied(rejected)}"

    def kind(self) -> str:
        """The kind of its error, or the commonest reason of its tracks (of equals the first by
        name), for counting; empty where the source gave a clip."""
        if self.error or self.clips:
            return self.error_kind
        return commonest(self.rejected) if self.rejected else NO_FACE


def windows(
    crops: Iterable[TrackCrop],
    shrink: Callable[[Frame], Frame],
    num_frames: int,
    stride: int,
    account: Account | None = None,
    min_sharpness: float = 0.0,
) -> Iterator[Window]:
    """Yields every `stride`-th run of `num_frames` frames of each track, as soon as it is whole.

    A track of n frames gives ⌊(n − num_frames)/stride⌋ + 1 windows; a shorter one gives none and
    counts as rejected in `account`. So does a track all of whose windows score under
    `min_sharpness`; those are not yielded. `shrink` makes the low frame of a crop, once a frame.
    Only the last `num_frames` frames of the tracks under way are kept. Raises `ValueError` where
    `num_frames` is even or a number is under 1.
    """
    if num_frames < 1 or num_frames % 2 == 0:
        raise ValueError(f"num_frames {num_frames}: must be odd, with the centre in the middle")
    if stride < 1:
        raise ValueError(f"stride {stride}: must be at least 1")
    account = Account() if account is None else account
    recent: dict[int, deque[tuple[TrackCrop, Frame]]] = {}
    seen: Counter[int] = Counter()
    sharp: set[int] = set()  # tracks that gave a window
    for crop in crops:
        kept = recent.setdefault(crop.track, deque(maxlen=num_frames))
        kept.append((crop, shrink(crop.image)))
        seen[crop.track] += 1
        if seen[crop.track] >= num_frames and (seen[crop.track] - num_frames) % stride == 0:
            score = sharpness(kept[num_frames // 2][0].image)
            if score >= min_sharpness:
                sharp.add(crop.track)
                yield Window(tuple(c for c, _ in kept), np.stack([low for _, low in kept]), score)
            else:
                account.blurred += 1
        if crop.last:
            account.tracks += 1
            if seen[crop.track] < num_frames:
                account.rejected[_too_short(crop, num_frames, account.frames)] += 1
            elif crop.track not in sharp:
                account.rejected[f"sharpness under {min_sharpness:g}"] += 1
            sharp.discard(crop.track)
            del recent[crop.track], seen[crop.track]


def counted(footage: Footage, account: Account) -> Footage:
    """The same footage, which adds to `account.frames` as it is read."""

    def frames() -> Iterator[Frame]:
        for frame in footage.frames():
            account.frames += 1
            yield frame
        account.treated.update(footage.counts)

    return replace(footage, frames=frames)


def _too_short(end: TrackCrop, num_frames: int, frames: int) -> str:
    """Says why a track that ends early does; where a source ends with it nothing is added."""
    cut = end.index + 1 < frames  # a frame behind it has been read
    why = ", face lost" if end.lost else ", cut" if cut else ""
    return f"track shorter than {num_frames} frames{why}"
