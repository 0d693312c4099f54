"""Cuts square face crops of one size out of the frames of a source: a source to track crops."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Footage, Frame
from datasets.tracking.boxes import Square
from datasets.tracking.camera import Camera, Placed, place
from datasets.tracking.detectors import Detector
from datasets.tracking.tracks import TrackFrame, follow, follow_whole
from infra.extraction import Detection


@dataclass(frozen=True)
class TrackCrop(TrackFrame):
    """A face cut out of its frame: `box` is the square of the crop and `image` is S×S×3 uint8 RGB.

    `offset` is how far the face's centre lies from the crop's, (x, y) in low pixels, and `motion`,
    64×2 of `clips.stills_to_films`, that of a frame that was made from a still."""

    offset: tuple[float, float] = (0.0, 0.0)
    motion: NDArray[np.float32] | None = None


def face_tracks(
    footage: Footage,
    detect: Detector | None,
    detection: Detection,
    low_size: int,
    *,
    seed: int = 0,
    inputs: tuple[int, ...] = (),
    rejected: Counter[str] | None = None,
) -> Iterator[Placed]:
    """Yields the faces of open `footage`, in order of frame, with the boxes that a camera of
    `low_size` pixels on the grid of `detection` cuts (`seed` and `inputs`: `camera.Camera`).

    Faces that the footage tells are taken instead of detected ones. Without either the footage
    counts as aligned: the centred square of every frame is the box, which stands still already and
    so is only shaken. The grid `frame` looks into every frame and leaves each box as it is.
    `rejected` is that of `tracks.follow`. Raises `footage.DecodeError` where the footage breaks.
    """
    camera = Camera(detection.grid, low_size, detection.shake, seed, inputs)
    rate, known = float(footage.rate), detect if footage.faces is None else footage.faces
    if known is None:
        whole = follow_whole(footage.frames(), detection.centre, footage.breaks)
        yield from place(whole, replace(camera, grid="face"), 1.0, rate, footage.name)
        return
    if detection.grid == "frame":
        detection = replace(detection, stride=1, smoothing=0, max_missed=0)
    faces = follow(footage.frames(), known, detection, rejected, footage.breaks)
    yield from place(faces, camera, detection.context, rate, footage.name)


def track_crops(faces: Iterable[Placed], size: int) -> Iterator[TrackCrop]:
    """Cuts `faces` out of their frames, `size`×`size` each."""
    for placed in faces:
        face, image = placed.face, crop(placed.face.image, placed.box, size)
        yield TrackCrop(
            face.track, face.index, placed.box, image, face.last, face.lost, face.score,
            placed.offset,
        )  # fmt: skip


def crop(frame: Frame, box: Square, size: int) -> Frame:
    """Resamples the square `box` (x, y, side) of an H×W×3 uint8 frame to size×size×3 uint8.

    Exact to a fraction of a pixel (OpenCV's 1/32). Shrinking averages over area: ⌈side/size⌉²
    bilinear samples a pixel, which for a whole ratio and box is OpenCV's INTER_AREA; enlarging is
    cubic. Outside the frame its reflection is taken. Raises `ValueError` for a side of 0 or less.
    """
    x, y, side = box
    if side <= 0:
        raise ValueError(f"box {box}: its side must be more than 0 pixels")
    dense = ceil(side / size - 1e-6)
    samples = size * max(dense, 1)
    step = side / samples
    # Sample u lies at x + (u + 1/2)·step; OpenCV counts from the centre of the first pixel.
    matrix = np.array([[step, 0, x + step / 2 - 0.5], [0, step, y + step / 2 - 0.5]])
    sampled = cv2.warpAffine(
        frame,
        matrix,
        (samples, samples),
        flags=(cv2.INTER_LINEAR if side >= size else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if samples == size:
        return sampled
    return cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
