"""Writes frames as an H.264 mp4 file."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from infra import storage

CLOCK = 90_000  # ticks/s at least, into which the steps of a film's rate go as well
REGULAR = 0.001  # seconds that a container's clock may be off


class VideoFile:
    """An H.264 mp4 of H×W×3 uint8 RGB frames of one even size, local or in object storage, as a
    context manager: it appears when the block ends, whole; with an error, or no frame, not at all.

    `rate` is in frames/s. `crf` is x264's constant rate factor, lower is better; `preset` trades
    size for speed. `metadata` are texts such as `title` and `comment`. FaultError is raised where a
    disk refuses.
    """

    def __init__(
        self,
        uri: str | Path,
        rate: Fraction,
        crf: int,
        preset: str = "medium",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.uri, self.rate, self.count = str(uri), rate, 0
        # One thread: the file then does not depend on the machine's cores. Without the macroblock
        # tree, whose streams of small frames differ from run to run.
        self._options = {"crf": str(crf), "preset": preset, "threads": "1", "mbtree": "0"}
        self._metadata = dict(metadata or {})
        self._tick = Fraction(1, rate.numerator * -(-CLOCK // rate.numerator))
        self._first = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            path = stack.enter_context(storage.whole(self.uri))
            self._container = stack.enter_context(opened(self.uri, path))
            self._stack = stack.pop_all()
        self._container.metadata.update(self._metadata)
        self._stream = self._container.add_stream("libx264", rate=self.rate, options=self._options)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = self._tick
        return self

    def add(self, picture: NDArray[np.uint8], time: float | None = None) -> None:
        """Add a frame that is shown at `time` [s], counted from that of the first; None: when the
        rate says. Raises ValueError for an odd side."""
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
            frame.pts, frame.time_base = round(due / self._tick), self._tick
            frame.duration = round(step / self._tick)
            self._container.mux(self._stream.encode(frame))
        self.count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                if self.count == 0:
                    raise ValueError(f"{self.uri}: no frame to write")
                with storage.writing(self.uri):
                    self._container.mux(self._stream.encode(None))
            except Exception as failed:
                self._stack.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)


def write_video(
    uri: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    crf: int,
    preset: str = "medium",
) -> int:
    """Encodes `frames` as they come into a `VideoFile`; returns their number.

    Raises ValueError without a frame or for an odd size, and what `frames` raises as it is.
    """
    with VideoFile(uri, rate, crf, preset) as file:
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
