"""Writes frames as an H.264 mp4 file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from infra import storage

CLOCK = 90_000  # ticks/s, of films whose frames are not equally long
REGULAR = 0.001  # seconds that a container's clock may be off


def write_video(
    uri: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    crf: int,
    preset: str = "medium",
    times: Sequence[float] = (),
) -> int:
    """Encodes H×W×3 uint8 RGB frames of one even size at `rate` frames/s; returns their number.

    Where `times` [s], growing, say when each frame is shown, they are kept, counted from the first;
    none are needed where they are regular (`are_regular`).

    The file, local or in object storage, appears whole or not at all; frames are encoded as they
    come. `crf` is x264's constant rate factor, lower is better; `preset` trades size for speed.
    Raises ValueError without a frame or for an odd size, FaultError where a disk refuses, and what
    `frames` raises as it is.
    """
    uri, count = str(uri), 0
    with storage.whole(uri) as path, opened(uri, path) as container:
        # One thread: the file then does not depend on the machine's cores. Without the macroblock
        # tree, whose streams of small frames differ from run to run.
        stream = container.add_stream(
            "libx264",
            rate=rate,
            options={"crf": str(crf), "preset": preset, "threads": "1", "mbtree": "0"},
        )
        stream.pix_fmt = "yuv420p"
        ticks = [round((time - times[0]) * CLOCK) for time in times]
        if ticks:
            stream.codec_context.time_base = Fraction(1, CLOCK)
        for picture in frames:
            if count == 0:
                stream.height, stream.width = picture.shape[:2]
                if stream.height % 2 or stream.width % 2:
                    raise ValueError(f"{uri}: a frame of {picture.shape[:2]} has an odd side")
            with storage.writing(uri):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if ticks:
                    frame.pts, frame.time_base = ticks[count], Fraction(1, CLOCK)
                container.mux(stream.encode(frame))
            count += 1
        if count == 0:
            raise ValueError(f"{uri}: no frame to write")
        with storage.writing(uri):
            container.mux(stream.encode(None))
    return count


def are_regular(times: Sequence[float], rate: Fraction) -> bool:
    """Whether frames that are shown at `times` [s] come as `rate` says from the first on, as nearly
    as a container can tell."""
    step = 1 / float(rate)
    return all(abs(t - times[0] - i * step) <= REGULAR for i, t in enumerate(times))


@contextmanager
def opened(
    uri: str, path: Path, muxer: str = "mp4", options: dict[str, str] | None = None
) -> Iterator[av.container.OutputContainer]:
    """The local file `path`, which will be at `uri`, as a container to write."""
    with storage.writing(uri):
        container = av.open(str(path), "w", format=muxer, container_options=options)
    try:
        yield container
    finally:
        with storage.writing(uri):
            container.close()
