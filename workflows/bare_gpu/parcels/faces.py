"""A parcel of faces: the clips of a run, as small as they get without harm.

One Parquet file a split, with the clips in their order:

    high       the sharp frame: WebP without loss in test and validation, JPEG in training
    neighbour  the same of the neighbour, where it is the next frame, which `temporal` is measured
               by; else null, and the clip has the sharp frame itself, at offset 0
    piece, at  where the low frames lie: a piece of the track, and the clip's first frame in it
    motion     in steps of 1/64 low pixel, differences from frame to frame; empty: not known

and one with the pieces: the low frames of a track once, where clips share them, as WebP without
loss. Training clips made of stills may leave low frames and motion out (`piece` −1): a training
with `train.fresh` makes them anew at each step, and `unpack` makes the first ones alike.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from datasets.clips.clip import Clip
from workflows.shared.pictures import Picture, read_picture

JPEG = 95  # 4:4:4; 45 dB on average
MOTION_STEP = 1 / 64  # of a low pixel
UNKNOWN = np.int16(-32768)
LONGEST = 800  # frames of a piece: a WebP has 16,383 rows at most
PLAIN = ("clip_id", "identity", "video", "track", "frame", "fps", "order", "sharpness",
         "degradation")  # fmt: skip


@dataclass
class Loss:
    """What packing has cost: of the sharp training frames in dB, of motions in low pixels."""

    frames: int = 0
    psnr_sum: float = 0.0
    psnr_least: float = np.inf
    motion_most: float = 0.0

    def of_frame(self, before: Picture, after: Picture) -> None:
        """Add one frame that was packed and unpacked."""
        error = np.mean((before.astype(np.float64) - after) ** 2)
        psnr = float(10 * np.log10(255**2 / error)) if error else 99.0
        self.frames += 1
        self.psnr_sum += psnr
        self.psnr_least = min(self.psnr_least, psnr)

    def figures(self) -> dict[str, float]:
        """For the record of the parcel."""
        return {
            "sharp_frames_with_loss": self.frames,
            "psnr_mean_db": round(self.psnr_sum / max(1, self.frames), 2),
            "psnr_least_db": round(self.psnr_least, 2) if self.frames else 99.0,
            "motion_most_low_px": round(self.motion_most, 4),
        }


def pack_clips(
    clips: Iterable[Clip], exact: bool, bare: bool, loss: Loss
) -> tuple[pa.Table, pa.Table]:
    """The tables of clips and of pieces; `exact`: sharp frames without loss; `bare`: no low frames.

    Everything is unpacked again and compared; raises ValueError where what is to be exact is not.
    """
    kept = sorted(clips, key=lambda clip: (clip.video, clip.track, clip.frame))
    pieces, places = _pieces(kept) if not bare else ([], [(-1, 0)] * len(kept))
    rows = []
    for clip, (piece, at) in zip(kept, places, strict=True):
        row = {name: getattr(clip, name) for name in PLAIN}
        row |= {"piece": piece, "at": at, "boxes": clip.boxes.tobytes(), "neighbour": None}
        row |= {"neighbour_offset": clip.neighbour_offset, "high": _picture(clip.high, exact, loss)}
        if exact and abs(clip.neighbour_offset) == 1:
            row["neighbour"] = _picture(clip.neighbour, exact, loss)
        row["motion"] = b"" if bare else _motion(clip, loss)
        rows.append(row)
    encoded = [_lossless(piece) for piece in pieces]
    for frames, stored in zip(pieces, encoded, strict=True):
        if not np.array_equal(decoded(stored), _tall(frames)):
            raise ValueError("low frames: WebP without loss did not give them back")
    order = np.argsort([row["order"] for row in rows], kind="stable")
    return pa.Table.from_pylist([rows[i] for i in order]), pa.table(
        {"frames": pa.array(encoded, pa.binary())}
    )


def unpack_clips(table: pa.Table, pieces: pa.Table, shape: tuple[int, int, int]) -> Iterator[Clip]:
    """The clips, of `shape` (num_frames, scale, size); those that left them out have black low
    frames and no motion, until `face_parcels.unpack` makes some."""
    num_frames, scale, size = shape
    side = size // scale
    frames = [decoded(one).reshape(-1, side, side, 3) for one in pieces["frames"].to_pylist()]
    for row in table.to_pylist():
        high = decoded(row["high"])
        low = np.zeros((num_frames, side, side, 3), np.uint8)
        motion = np.full((num_frames, 64, 2), np.nan, np.float16)
        if row["piece"] >= 0:
            low = frames[row["piece"]][row["at"] : row["at"] + num_frames]
            motion = _motion_of(row["motion"], num_frames, side)
        there = row["neighbour"] is not None
        yield Clip(
            **{name: row[name] for name in PLAIN},
            low=low,
            high=high,
            neighbour=decoded(row["neighbour"]) if there else high,
            neighbour_offset=row["neighbour_offset"] if there else 0,
            boxes=np.frombuffer(row["boxes"], np.float32).reshape(-1, 4),
            motion=motion,
        )


def decoded(stored: bytes) -> Picture:
    """A stored picture as H×W×3 RGB."""
    found = read_picture(stored)
    if found is None:
        raise ValueError("a picture of the parcel cannot be decoded; make the parcel again")
    return found


def _pieces(clips: list[Clip]) -> tuple[list[Picture], list[tuple[int, int]]]:
    """The low frames of clips that are sorted by track and frame, those that they share once, and
    for each clip its piece and the place of its first frame in it."""
    pieces: list[list[Picture]] = []
    places: list[tuple[int, int]] = []
    before: Clip | None = None
    for clip in clips:
        shared = 0
        if (
            before is not None
            and pieces
            and (clip.video, clip.track) == (before.video, before.track)
        ):
            apart = clip.frame - before.frame
            shared = len(clip.low) - apart if 0 < apart < len(clip.low) else 0
            if not np.array_equal(before.low[apart:], clip.low[:shared]):
                shared = 0  # each clip was degraded by itself
        if not shared or len(pieces[-1]) >= LONGEST:
            pieces.append([])
            shared = 0
        pieces[-1] += list(clip.low[shared:])
        places.append((len(pieces) - 1, len(pieces[-1]) - len(clip.low)))
        before = clip
    return [np.stack(piece) for piece in pieces], places


def _picture(image: Picture, exact: bool, loss: Loss) -> bytes:
    if exact:
        stored = _lossless(image)
        if not np.array_equal(decoded(stored), image):
            raise ValueError("a sharp frame: WebP without loss did not give it back")
        return stored
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    stored = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    loss.of_frame(image, decoded(stored))
    return stored


def _lossless(image: Picture) -> bytes:
    """One picture H×W×3, or T×h×w×3 frames below one another."""
    file = io.BytesIO()
    tall = _tall(image) if image.ndim == 4 else image
    Image.fromarray(tall).save(file, "WEBP", lossless=True, quality=100, method=4)
    return file.getvalue()


def _tall(frames: Picture) -> Picture:
    return np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:]))


def _motion(clip: Clip, loss: Loss) -> bytes:
    """T×64×2 shifts in whole steps, as differences from frame to frame; nothing where all of them
    are unknown."""
    finite = np.isfinite(clip.motion)
    if not finite.any():
        return b""
    unit = clip.low.shape[1] / 2 / MOTION_STEP  # steps in a shift of 1
    steps = np.where(finite, np.rint(clip.motion.astype(np.float64) * unit), UNKNOWN)
    whole = steps.clip(UNKNOWN, 32767).astype(np.int16)
    stored = np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])).tobytes()
    again = _motion_of(stored, len(whole), clip.low.shape[1])
    apart = np.abs(again.astype(np.float64) - clip.motion)[finite].max() * clip.low.shape[1] / 2
    loss.motion_most = max(loss.motion_most, float(apart))
    return stored


def _motion_of(stored: bytes, num_frames: int, side: int) -> NDArray[np.float16]:
    if not stored:
        return np.full((num_frames, 64, 2), np.nan, np.float16)
    steps = np.frombuffer(stored, np.int16).reshape(num_frames, 64, 2)
    whole = np.cumsum(steps, axis=0, dtype=np.int16)  # overflow wraps back as it wrapped
    shifts = whole.astype(np.float64) * MOTION_STEP * 2 / side
    return np.where(whole == UNKNOWN, np.nan, shifts).astype(np.float16)
