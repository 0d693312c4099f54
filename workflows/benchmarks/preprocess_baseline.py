"""What preprocessing is measured against: decode alone, and a plain loop over PyAV and OpenCV.

The loop does what the stage does, without Ray and without what makes the stage safe: detect on a
stride, interpolate the box, crop, resize, degrade, and write clips of 25 frames to Parquet. It
follows the largest face alone, and looks for neither cuts nor damage.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datasets.shards.files import PART_ROWS, write_tables
from datasets.sources.footage import Boxes, Frame
from datasets.tracking.detectors import build_detector
from datasets.tracking.search import Search
from infra.settings.settings import Settings

MAX_MISSED = 1  # keys in a row without a face before it counts as gone, as in the stage
Box = NDArray[np.float64]  # x, y, side
Window = tuple[int, list[tuple[Box, Frame, Frame]]]  # central frame; box, high and low of each


def decode_only(videos: list[Path]) -> int:
    """Decodes every frame of the videos on one thread, converts none, and gives their number."""
    return sum(1 for video in videos for _ in _frames(video))


def plain_loop(videos: list[Path], folder: Path, settings: Settings) -> tuple[int, int]:
    """Makes one Parquet file of clips a video in `folder`; gives the frames and the clips."""
    look = Search(build_detector(model_of(settings)), settings.preprocess.min_face)
    frames = clips = 0
    for number, video in enumerate(videos):
        account = [0]
        windows = _windows(video, look, settings, account)
        clips += write_tables(
            str(folder / f"{number:05d}.parquet"), _tables(video, windows), PART_ROWS
        )
        frames += account[0]
    return frames, clips


def model_of(settings: Settings) -> str | None:
    """The file of the detector that the settings name; None for the cascade."""
    detector = settings.preprocess.detector
    return None if detector == "haar" else detector


def _frames(video: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def _windows(video: Path, look: Search, settings: Settings, account: list[int]) -> Iterator[Window]:
    """The central frame and the crops of each clip; adds the frames to the number in `account`."""
    size, options = settings.clip.num_frames, settings.preprocess
    recent: deque[tuple[Box, Frame, Frame]] = deque(maxlen=size)
    length = 0
    for index, (image, box) in enumerate(_followed(video, look, options.detection_stride)):
        account[0] += 1
        if box is None:
            recent.clear()
            length = 0
            continue
        high = _crop(image, box, options.context, settings.clip.size)
        recent.append((box, high, _degrade(high, settings)))
        length += 1
        if length >= size and (length - size) % options.clip_stride == 0:
            yield index - size // 2, list(recent)


def _followed(video: Path, look: Search, stride: int) -> Iterator[tuple[Frame, Box | None]]:
    """Every frame with the box (x, y, side) of its largest face, interpolated between keys."""
    waiting: list[Frame] = []
    before: Box | None = None
    missed = 0
    for index, frame in enumerate(_frames(video)):
        waiting.append(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
        if index % stride:
            continue
        box = _largest(look.everywhere(waiting[-1]))
        missed = 0 if box is not None else missed + 1
        if box is None and missed <= MAX_MISSED:
            box = before
        for place, image in enumerate(waiting, 1):
            part = place / len(waiting)
            known = before is not None and box is not None
            yield image, np.asarray(before) * (1 - part) + np.asarray(box) * part if known else None
        waiting, before = [], box
    for image in waiting:
        yield image, before


def _largest(boxes: Boxes) -> Box | None:
    return None if len(boxes) == 0 else boxes[np.argmax(boxes[:, 2])][:3].astype(float)


def _crop(image: Frame, box: Box, context: float, size: int) -> Frame:
    x, y, side = box
    margin = side * (context - 1) / 2
    left, top, right, bottom = (
        round(value) for value in (x - margin, y - margin, x + side + margin, y + side + margin)
    )
    height, width = image.shape[:2]
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    if min(left, top, width - right, height - bottom) < 0:
        above, below, before, after = (
            max(outside, 0) for outside in (-top, bottom - height, -left, right - width)
        )
        inside = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REFLECT_101)
    return cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA)


def _degrade(high: Frame, settings: Settings) -> Frame:
    small = (settings.clip.low_size, settings.clip.low_size)
    if settings.clip.blur_sigma is None:
        return cv2.resize(high, small, interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(high, (0, 0), settings.clip.blur_sigma)
    return cv2.resize(blurred, small, interpolation=cv2.INTER_LINEAR)


def _tables(video: Path, windows: Iterator[Window]) -> Iterator[pa.Table]:
    while group := list(islice(windows, PART_ROWS)):
        yield _table(video, group)


def _table(video: Path, clips: list[Window]) -> pa.Table:
    """The columns of a shard that hold the data; those of the row's origin are one text."""
    radius = len(clips[0][1]) // 2
    columns = {
        "low": np.stack([np.stack([low for _, _, low in window]) for _, window in clips]),
        "high": np.stack([window[radius][1] for _, window in clips]),
        "neighbour": np.stack([window[0][1] for _, window in clips]),
        "boxes": np.array([[box for box, _, _ in window] for _, window in clips], np.float32),
    }
    tensors = {
        name: pa.FixedShapeTensorArray.from_numpy_ndarray(values)
        for name, values in columns.items()
    }
    return pa.table({"clip_id": [f"{video.name}@{frame}" for frame, _ in clips], **tensors})
