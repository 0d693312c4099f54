"""Opens a video file or a folder of images as a stream of RGB frames, or says what is wrong.

A damaged file is refused as a whole: what is missing after the damage cannot be known. So iterate
to the end before believing any frame. Codecs that carry no redundancy (WMV, VP8) can hide a flipped
byte from the decoder; H.264 and MPEG-1 seldom do.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import PurePosixPath

import av
import cv2
import fsspec
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from datasets.faces import Boxes
from datasets.frame_files import LabelError, faces_of, missing_before
from datasets.layouts import Source, is_image
from datasets.sources import locate

MAX_PIXELS = 4096 * 4096
IMAGE_RATE = Fraction(25)
# A container's count may include frames that an edit list hides; more than this is missing data.
MISSING_SHARE, MISSING_FRAMES, MISSING_SECONDS = 0.02, 2, 1.0

Frame = NDArray[np.uint8]


class DecodeError(ValueError):
    """A source that cannot be read whole; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Footage:
    """An open source: `rate` in frames/s, `width` and `height` in pixels as shown (rotation
    applied), and `frames()`, which streams H×W×3 uint8 RGB once from the first to the last.

    `breaks` are the indices of frames before which others are missing. `faces` holds the boxes
    N×4 (x, y, width, height) of each frame where the source tells them."""

    name: str
    rate: Fraction
    width: int
    height: int
    frames: Callable[[], Iterator[Frame]]
    breaks: frozenset[int] = frozenset()
    faces: tuple[Boxes, ...] | None = None


def open_source(
    source: Source, max_pixels: int = MAX_PIXELS, image_rate: Fraction = IMAGE_RATE
) -> AbstractContextManager[Footage]:
    """Opens `source` for reading, as a context manager that gives a `Footage`.

    `max_pixels` bounds width·height of a frame; `image_rate` is the rate of images.
    Opening and iterating raise `DecodeError` for what is empty, not a video, without a video
    stream, damaged, truncated, too large, or of differing image sizes.
    """
    if source.kind == "video":
        return _open_video(source, max_pixels)
    return _open_images(source, max_pixels, image_rate)


@contextmanager
def _open_video(source: Source, max_pixels: int) -> Iterator[Footage]:
    filesystem, path = locate(source.uri)
    with ExitStack() as stack:
        try:
            if filesystem.size(path) == 0:
                raise DecodeError(f"{source.name}: the file is empty")
            file = stack.enter_context(filesystem.open(path, "rb"))
            container = stack.enter_context(av.open(file, mode="r", metadata_errors="replace"))
        except (av.FFmpegError, OSError) as error:
            raise DecodeError(f"{source.name}: not a readable video ({_short(error)})") from error
        if not container.streams.video:
            raise DecodeError(f"{source.name}: has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DecodeError(f"{source.name}: its codec is not known here")
        # One thread: Ray gives a task one core, and runs as many tasks as there are cores.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        # Without it flipped bytes decode to grey smears and no error.
        stream.codec_context.options = {"err_detect": "explode"}
        decoder = _decoded(container, stream, source.name, max_pixels)
        first = next(decoder, None)
        if first is None:
            raise DecodeError(f"{source.name}: no frame could be decoded")
        height, width = first.shape[:2]
        frames = chain([first], decoder)
        rate = stream.average_rate or stream.guessed_rate or IMAGE_RATE
        yield Footage(source.name, Fraction(rate), width, height, lambda: frames)


def _decoded(
    container: InputContainer, stream: VideoStream, name: str, max_pixels: int
) -> Iterator[Frame]:
    """Streams the frames of `stream` upright, and raises where its data ends or breaks early."""
    _check_pixels(name, stream.width, stream.height, max_pixels)
    count, end = 0, 0.0
    convert = VideoReformatter()  # a frame's own would be set up anew for each of them
    shape: tuple[int, ...] = ()
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise DecodeError(f"{name}: damaged at frame {count}")
            _check_pixels(name, frame.width, frame.height, max_pixels)
            image = _upright(frame, convert)
            if shape and image.shape != shape:
                raise DecodeError(
                    f"{name}: frame {count} is {_size(image.shape)}, not "
                    f"{_size(shape)} as those before it"
                )
            shape, count = image.shape, count + 1
            end = frame.time if frame.time is not None else end
            yield image
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"{name}: damaged after frame {count} ({_short(error)})") from error
    _check_whole(container, stream, name, count, end)


def _upright(frame: av.VideoFrame, convert: VideoReformatter) -> Frame:
    image = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
    image = image.astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(image, frame.rotation // 90))


def _check_whole(
    container: InputContainer, stream: VideoStream, name: str, count: int, end: float
) -> None:
    """Compares what was decoded with what the container promised: a truncated file ends early."""
    if stream.frames and count < stream.frames * (1 - MISSING_SHARE) - MISSING_FRAMES:
        raise DecodeError(
            f"{name}: truncated or damaged: {count} of the {stream.frames} frames that its header "
            "promises could be decoded"
        )
    if count == 0 or stream.frames:
        return
    promised = _promised_seconds(container, stream)
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    if promised is not None and end - start < promised * (1 - MISSING_SHARE) - MISSING_SECONDS:
        raise DecodeError(
            f"{name}: truncated or damaged: the video ends at {end - start:.1f} s of the "
            f"{promised:.1f} s that its header promises"
        )


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if clock := re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", "")):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])  # Matroska
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None  # the container's length may be that of its sound


@contextmanager
def _open_images(source: Source, max_pixels: int, rate: Fraction) -> Iterator[Footage]:
    filesystem, path = locate(source.uri)
    paths = [path] if source.kind == "image" else _images_in(filesystem, path, source.name)
    names = [PurePosixPath(path).name for path in paths]
    try:
        faces = faces_of(source.labels, names) if source.labels else None
    except LabelError as error:
        raise DecodeError(f"{source.name}: {error}") from error
    first = _read_image(filesystem, paths[0], source.name, max_pixels)

    def frames() -> Iterator[Frame]:
        yield first
        for path in paths[1:]:
            image = _read_image(filesystem, path, source.name, max_pixels)
            if image.shape != first.shape and source.kind != "crops":
                raise DecodeError(
                    f"{source.name}: {PurePosixPath(path).name} is {_size(image.shape)}, but "
                    f"{PurePosixPath(paths[0]).name} is {_size(first.shape)}; the images of one "
                    "folder must have one size"
                )
            yield image

    height, width = first.shape[:2]
    yield Footage(source.name, rate, width, height, frames, missing_before(names), faces)


def _images_in(filesystem: fsspec.AbstractFileSystem, folder: str, name: str) -> list[str]:
    try:
        paths = sorted(filter(is_image, filesystem.ls(folder, detail=False)), key=_natural)
    except OSError as error:
        raise DecodeError(f"{name}: not a readable folder ({_short(error)})") from error
    if not paths:
        raise DecodeError(f"{name}: the folder holds no image")
    return paths


def _read_image(
    filesystem: fsspec.AbstractFileSystem, path: str, name: str, max_pixels: int
) -> Frame:
    file = PurePosixPath(path).name
    label = name if PurePosixPath(name).name == file else f"{name}/{file}"
    try:
        data = filesystem.cat_file(path)
    except OSError as error:
        raise DecodeError(f"{label}: cannot be read ({_short(error)})") from error
    if not data:
        raise DecodeError(f"{label}: the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise DecodeError(f"{label}: not a readable image ({_short(error)})") from error
    if image is None:
        raise DecodeError(f"{label}: not a readable image")
    _check_pixels(label, image.shape[1], image.shape[0], max_pixels)
    return image


def _check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise DecodeError(
            f"{name}: a frame of {width}×{height} is more than {max_pixels} pixels; scale the "
            "video down or raise max_pixels"
        )


def _natural(path: str) -> list[tuple[int, str]]:
    """Key that puts img2 before img10: runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", PurePosixPath(path).name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


def _short(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:120]
