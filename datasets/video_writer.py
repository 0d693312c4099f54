"""Writes frames as an H.264 mp4 file."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from infra import storage

CLOCK = 90_000  # ticks/s at least, into which the steps of a film's rate go as well
REGULAR = 0.001  # seconds that a container's clock may be off


class VideoFile:
    """The frames of an H.264 mp4 that is open; made by `video_file`."""

    def __init__(
        self,
        uri: str,
        container: av.container.OutputContainer,
        rate: Fraction,
        crf: int,
        preset: str,
    ) -> None:
        self.uri, self.rate, self.count = uri, rate, 0
        self._tick = Fraction(1, rate.numerator * -(-CLOCK // rate.numerator))
        self._first, self._last = 0.0, -1
        self._container = container
        self._stream = container.add_stream("libx264", rate=rate, options=options_of(crf, preset))
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = self._tick

    def add(self, picture: NDArray[np.uint8], time: float | None = None) -> None:
        """Add a frame H×W×3 uint8 RGB, all of one even size, that is shown at `time` [s], counted
        from that of the first; None: when the rate says. Raises ValueError for an odd side."""
        if self.count == 0:
            self._stream.height, self._stream.width = picture.shape[:2]
            if self._stream.height % 2 or self._stream.width % 2:
                raise ValueError(f"{self.uri}: a frame of {picture.shape[:2]} has an odd side")
            self._first = time or 0.0
        step = 1 / self.rate
        due = self.count * step
        if time is not None and abs(time - self._first - due) > REGULAR:
            due = Fraction(time - self._first)
        with storage.writing(self.uri):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            # Two may be nearer to each other than REGULAR; mp4 takes none that stands still.
            self._last = max(round(due / self._tick), self._last + 1)
            frame.pts, frame.time_base = self._last, self._tick
            frame.duration = round(step / self._tick)
            self._container.mux(self._stream.encode(frame))
        self.count += 1

    def end(self) -> None:
        """Write what the encoder still holds; raises ValueError without a frame."""
        if self.count == 0:
            raise ValueError(f"{self.uri}: no frame to write")
        with storage.writing(self.uri):
            self._container.mux(self._stream.encode(None))


def options_of(crf: int, preset: str, threads: int = 1) -> dict[str, str]:
    """Those of x264 by which the same frames give the same bytes."""
    # So many threads, whatever cores there are: the file depends on their number. Without the
    # macroblock tree, whose streams of small frames differ from run to run.
    return {"crf": str(crf), "preset": preset, "threads": str(threads), "mbtree": "0"}


@contextmanager
def video_file(
    uri: str | Path,
    rate: Fraction,
    crf: int,
    preset: str = "medium",
    metadata: Mapping[str, str] | None = None,
) -> Iterator[VideoFile]:
    """An H.264 mp4, local or in object storage, to add frames to: it appears when the block ends,
    whole; with an error, or no frame, not at all.

    `rate` is in frames/s. `crf` is x264's constant rate factor, lower is better; `preset` trades
    size for speed. `metadata` are texts such as `title` and `comment`. FaultError is raised where a
    disk refuses.
    """
    uri = str(uri)
    with storage.whole(uri) as path, opened(uri, path) as container:
        container.metadata.update(metadata or {})
        file = VideoFile(uri, container, rate, crf, preset)
        yield file
        file.end()


def write_video(
    uri: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    crf: int,
    preset: str = "medium",
) -> int:
    """Encodes `frames` as they come into a `video_file`; returns their number.

    Raises ValueError without a frame or for an odd size, and what `frames` raises as it is.
    """
    with video_file(uri, rate, crf, preset) as file:
        for picture in frames:
            file.add(picture)
    return file.count


def are_regular(times: Iterable[float], rate: Fraction) -> bool:
    """Whether frames that are shown at `times` [s] come as `rate` says from the first on, as nearly
    as a container can tell."""
    first: float | None = None
    for index, time in enumerate(times):
        first = time if first is None else first
        if abs(time - first - index / float(rate)) > REGULAR:
            return False
    return True


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
