"""Cuts tracks into clips: 2k+1 low frames with the high central frame, one row of a shard each."""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets.bursts import CONTROL_POINTS, make_burst
from datasets.crops import CONTEXT, TrackCrop, face_tracks
from datasets.degrade import degrade
from datasets.faces import Detector, Frame
from datasets.footage import Footage, Limits
from datasets.realistic import degrade_clip
from datasets.sharpness import sharpness
from datasets.sources import Source
from datasets.video import open_source

NUM_FRAMES = 25
UNKNOWN = np.full((CONTROL_POINTS, 2), np.nan, np.float32)  # the motion of real footage

NO_FACE = "no face"

Degradation = Literal["paper", "realistic"]


@dataclass(frozen=True)
class Clip:
    """One training example, a row of a shard; `shards.COLUMNS` says what each field is."""

    clip_id: str
    identity: str
    video: str
    track: int
    frame: int
    fps: float
    low: NDArray[np.uint8]  # T×h×w×3
    high: NDArray[np.uint8]  # S×S×3
    neighbour: NDArray[np.uint8]  # S×S×3
    neighbour_offset: int
    boxes: NDArray[np.float32]  # T×4
    motion: NDArray[np.float32]  # T×64×2
    order: int
    sharpness: float
    degradation: str


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
    `treated` the frames that needed a treatment on decoding, by which.
    """

    frames: int = 0
    tracks: int = 0
    clips: int = 0
    blurred: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    treated: Counter[str] = field(default_factory=Counter)
    error: str = ""

    def fail(self, reason: str) -> None:
        """Records that the source cannot be read whole: its clips do not count."""
        self.error, self.clips = reason, 0

    def reason(self) -> str:
        """Says in one line why the source gave no clip; empty where it gave one."""
        if self.error:
            return self.error
        if self.clips:
            return ""
        rejected = self.rejected or Counter([NO_FACE])
        reasons = ", ".join(f"{reason} ({n})" for reason, n in rejected.most_common())
        return f"no clip from {self.frames} frame{'s' * (self.frames != 1)}: {reasons}"


def clips_of(
    source: Source,
    detect: Detector | None,
    *,
    seed: int,
    size: int = 128,
    scale: int = 8,
    blur_sigma: float | None = 2.4,
    degradation: Degradation = "paper",
    num_frames: int = NUM_FRAMES,
    clip_stride: int = 12,
    min_sharpness: float = 0.0,
    context: float = CONTEXT,
    stride: int = 5,
    min_face: int = 40,
    smoothing: int = 2,
    max_missed: int = 1,
    centre: float = 1.0,
    bursts: bool = False,
    limits: Limits | None = None,
    account: Account | None = None,
) -> Iterator[Clip]:
    """Yields the clips of `source`, with memory bounded for any length of it.

    `detect` finds faces (None: the frames are crops already); `clip_stride` is the distance in
    frames between the centres of two clips of a track; the arguments from `context` to `centre`
    are those of `crops.face_tracks`, `scale` and `blur_sigma` those of `degrade.degrade`, `limits`
    that of `video.open_source`; `degradation` "realistic" draws one a clip in its place
    (`realistic.degrade_clip`); clips under `min_sharpness` are left out. With `bursts` each face of
    a still becomes a clip of its own by `bursts.make_burst`. Everything random comes from (`seed`,
    clip id). `account` is filled on the way. Raises `footage.DecodeError` for a source that cannot
    be read whole, possibly after some clips: these must then be thrown away.
    """
    account = Account() if account is None else account
    with open_source(source, limits) as footage:
        fps = float(footage.rate)
        footage = _counted(footage, account)
        still = None
        if bursts and source.kind == "image":
            (still,) = footage.frames()
            footage = replace(footage, frames=partial(iter, [still]))
        crops = face_tracks(
            footage, detect, size=size, context=context, stride=stride, min_face=min_face,
            smoothing=smoothing, max_missed=max_missed, centre=centre, rejected=account.rejected,
        )  # fmt: skip
        if still is not None:
            crops = _moved(crops, still, source.name, seed, scale, num_frames)

        paper = json.dumps(
            {"kind": "paper", "blur_sigma": blur_sigma} if blur_sigma else {"kind": "bicubic"}
        )

        def shrink(high: Frame) -> Frame:
            # A realistic camera sees a whole clip, so it has to wait for the window.
            return degrade(high, scale, blur_sigma) if degradation == "paper" else high

        for window in windows(crops, shrink, num_frames, clip_stride, account, min_sharpness):
            account.clips += 1
            clip = _clip(source, fps, window, seed, paper)
            yield clip if degradation == "paper" else _realistic(clip, scale, seed)


def windows(
    crops: Iterable[TrackCrop],
    shrink: Callable[[Frame], Frame],
    num_frames: int = NUM_FRAMES,
    stride: int = 1,
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


def _moved(
    crops: Iterable[TrackCrop], still: Frame, name: str, seed: int, scale: int, num_frames: int
) -> Iterator[TrackCrop]:
    """Makes a track of each face of a still, whose central frame is that of the still, index 0."""
    for crop in crops:
        chance = np.random.default_rng(_hash(seed, _clip_id(name, crop), "burst"))
        size = crop.image.shape[0]
        frames, motion = make_burst(still, crop.box, size, scale, num_frames, chance)
        for place, (image, shifts) in enumerate(zip(frames, motion, strict=True)):
            yield replace(
                crop, index=place - num_frames // 2, image=image, motion=shifts,
                last=place == num_frames - 1,
            )  # fmt: skip


def _too_short(end: TrackCrop, num_frames: int, frames: int) -> str:
    """Says why a track that ends early does; where a source ends with it nothing is added."""
    cut = end.index + 1 < frames  # a frame behind it has been read
    why = ", face lost" if end.lost else ", cut" if cut else ""
    return f"track shorter than {num_frames} frames{why}"


def _clip(source: Source, fps: float, window: Window, seed: int, degradation: str) -> Clip:
    radius = len(window.crops) // 2
    centre = window.crops[radius]
    clip_id = _clip_id(source.name, centre)
    offset = _neighbour_offset(seed, clip_id, radius)
    return Clip(
        clip_id=clip_id,
        identity=source.identity,
        video=source.name,
        track=centre.track,
        frame=centre.index,
        fps=fps,
        low=window.low,
        high=centre.image,
        neighbour=window.crops[radius + offset].image,
        neighbour_offset=offset,
        boxes=np.array([(*c.box, c.box[2]) for c in window.crops], np.float32),
        motion=np.stack([UNKNOWN if c.motion is None else c.motion for c in window.crops]),
        order=_hash(seed, clip_id, "order") >> 1,  # 63 bits, so that a signed column holds it
        sharpness=window.sharpness,
        degradation=degradation,
    )


def _clip_id(name: str, centre: TrackCrop) -> str:
    return f"{name}#{centre.track}@{centre.index}"


def _realistic(clip: Clip, scale: int, seed: int) -> Clip:
    """The clip whose `low` still holds high crops, as a camera and a codec would have left it."""
    low, recipe = degrade_clip(clip.low, scale, _hash(seed, clip.clip_id, "degradation"))
    return replace(clip, low=low, degradation=json.dumps({"kind": "realistic", **asdict(recipe)}))


def _neighbour_offset(seed: int, clip_id: str, radius: int) -> int:
    """Draws from −radius … radius without 0; the clip of a single frame has no other than 0."""
    if radius == 0:
        return 0
    drawn = _hash(seed, clip_id, "neighbour") % (2 * radius) - radius
    return drawn if drawn < 0 else drawn + 1


def _hash(seed: int, clip_id: str, purpose: str) -> int:
    """64 bits that are the same on every machine, which Python's own hash is not."""
    text = f"{seed}\0{purpose}\0{clip_id}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _counted(footage: Footage, account: Account) -> Footage:
    """The same footage, which adds to `account.frames` as it is read."""

    def frames() -> Iterator[Frame]:
        for frame in footage.frames():
            account.frames += 1
            yield frame
        account.treated.update(footage.counts)

    return replace(footage, frames=frames)
