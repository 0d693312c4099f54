"""Small films as people have them: their times, streams, orientations, pixels and colours."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.extraction import Damage, Limits
from tests.support.media import Frame

LEAST, STEP = 40, 4  # levels: of frame 0, and from one frame to the next


def numbered(count: int, first: int = 0, width: int = 48, height: int = 32) -> list[Frame]:
    """Grey frames that tell their numbers, up to 50: `numbers` reads them."""
    levels = LEAST + STEP * (np.arange(first, first + count) % 50)
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def numbers(frames: Sequence[Frame]) -> list[int]:
    """The numbers that `numbered` gave."""
    return [round((float(frame.mean()) - LEAST) / STEP) for frame in frames]


def picture(frame: Frame | av.VideoFrame, pixels: str) -> av.VideoFrame:
    """An RGB frame as one to encode; frames that are so already stay as they are."""
    if isinstance(frame, av.VideoFrame):
        return frame
    return av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)


def film(
    path: Path,
    frames: Sequence[Frame | av.VideoFrame],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[Fraction] | None = None,
    adjust: Callable[[VideoStream], None] = lambda stream: None,
    container: dict[str, str] | None = None,
    rate: int = 25,
    **options: str,
) -> Path:
    """Writes `frames` at `rate` frames/s, or at their own `times` [s]; `adjust` sets the stream."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = add_stream(output, frames[0], codec, pixels, options, rate)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 600)
        adjust(stream)
        base = stream.codec_context.time_base or Fraction(1, rate)
        for number, frame in enumerate(frames):
            shown = picture(frame, pixels)
            shown.time_base = base
            shown.pts = number if times is None else int(times[number] / base)
            output.mux(stream.encode(shown))
        output.mux(stream.encode())
    return path


def add_stream(
    output: av.container.OutputContainer,
    frame: Frame | av.VideoFrame,
    codec: str,
    pixels: str,
    options: dict[str, str],
    rate: int = 25,
) -> VideoStream:
    """A stream for frames like `frame`."""
    stream: VideoStream = output.add_stream(codec, rate=rate, options=options)  # type: ignore[assignment]
    height, width = (
        frame.shape[:2] if isinstance(frame, np.ndarray) else (frame.height, frame.width)
    )
    stream.width, stream.height, stream.pix_fmt = width, height, pixels
    stream.bit_rate = 2_000_000
    return stream


def flat(
    values: tuple[int, int, int], pixels: str = "yuv420p", width: int = 32, height: int = 32
) -> av.VideoFrame:
    """A frame of one colour, by the values of its planes Y, U, V as they are coded."""
    frame = av.VideoFrame(width, height, pixels)
    kind = np.uint16 if "10" in pixels else np.uint8
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
    return frame


def set_edit(path: Path, begin: float, seconds: float, rate: int = 25) -> None:
    """Makes the one edit of an mp4 show `seconds` from `begin` on, as a lossless cut does."""
    data = bytearray(path.read_bytes())
    scale = struct.unpack(">I", data[(place := data.index(b"mdhd") + 16) : place + 4])[0]
    whole = struct.unpack(">I", data[(place := data.index(b"mvhd") + 16) : place + 4])[0]
    edit = data.index(b"elst") + 12
    start = struct.unpack(">i", data[edit + 4 : edit + 8])[0]  # of frame 0, after reordering
    data[edit : edit + 8] = struct.pack(">Ii", round(seconds * whole), start + round(begin * scale))
    path.write_bytes(data)


def read(path: Path, damage: Damage = "refuse", **limits: float) -> tuple[list[Frame], Footage]:
    """All frames of a film, and its footage, which tells of them."""
    kind = Limits(damage=damage, **limits)  # type: ignore[arg-type]
    with open_source(Source(f"file://{path}", f"a/{path.name}", "a", "video"), kind) as footage:
        frames = list(footage.frames())
        assert len(footage.times) == len(frames)
        return frames, footage
