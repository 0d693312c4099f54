"""Writes a film again, of other pictures: H.264, with all that went with the old ones."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from datasets.film_copy import MUXERS, Companions
from datasets.sources.films.filters import filtering
from datasets.sources.films.picture import EXACT, HD
from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.sources.video import open_container
from datasets.video_writer import CLOCK, opened, options_of
from infra import storage
from infra.errors import InputError
from infra.extraction import Limits

BEHIND = 3.0  # s that sound is copied later: a clock that begins anew is known by then
THREADS = 4  # of x264, on any machine: its bytes depend on their number
LARGEST = 16384  # px, x264's
COMMENT = "comment"  # the tag that says what was done


class FilmWriter:
    """Encodes pictures H×W×3 uint8 RGB of one even `size` (width, height) into an `output`, each at
    the time that `footage` has for it."""

    def __init__(
        self,
        output: OutputContainer,
        footage: Footage,
        companions: Companions | None,
        size: tuple[int, int],
        options: dict[str, str],
        uri: str,
    ) -> None:
        self.output, self.footage, self.companions = output, footage, companions
        self.size, self.options, self.uri = size, options, uri
        self.to_yuv, self.count, self.last = VideoReformatter(), 0, float("-inf")
        self.place: av.filter.Graph | None = None
        large = size[0] >= HD[0] or size[1] >= HD[1]
        self.matrix = Colorspace.ITU709 if large else Colorspace.ITU601
        self.start, self.clock = Fraction(0), 1 / footage.rate
        if companions is None:
            self._add_pictures()
        else:
            self.start = Fraction(-footage.offsets[0]) - companions.zero
            companions.add_to(output, self._add_pictures)
        with _encoding(uri):
            output.start_encoding()

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Encodes the next picture."""
        time = self.footage.time(self.count)
        ticks = round((Fraction(time) + self.start) / self.clock)
        if ticks <= self.last:  # two may be nearer to each other than the clock can tell
            ticks = int(self.last) + 1
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base, self.last = ticks, self.clock, ticks
        frame = self.to_yuv.reformat(
            self._placed(frame), format="yuv420p", threads=1, dst_colorspace=self.matrix,
            dst_color_range=ColorRange.MPEG, interpolation=EXACT,
        )  # fmt: skip
        with _encoding(self.uri):
            self.output.mux(self.stream.encode(frame))
        self.count += 1
        self._copy(time - BEHIND)

    def finish(self) -> None:
        """Encodes what waits, and copies all that is left."""
        with _encoding(self.uri):
            self.output.mux(self.stream.encode(None))
        self._copy(float("inf"))

    def _placed(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame, told that its colours are to be sampled where H.264 has them, at the left of
        two pixels; else they would be shifted by half a pixel."""
        if self.place is None:
            self.place = filtering(frame, "setparams", chroma_location="left")
        self.place.push(frame)
        return self.place.vpull()

    def _copy(self, time: float) -> None:
        if self.companions is not None:
            for packet in self.companions.up_to(time):
                try:
                    with storage.writing(self.uri):
                        self.output.mux(packet)
                except (av.error.InvalidDataError, av.error.ArgumentError) as error:
                    self.companions.refused(packet, error)

    def _add_pictures(self) -> None:
        stream: VideoStream = self.output.add_stream(
            "libx264", rate=self.footage.rate, options=self.options
        )
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = self.matrix, ColorRange.MPEG
        context.color_primaries, context.color_trc = self.footage.colours
        if self.companions is not None:
            old = self.companions.pictures
            stream.disposition = old.disposition
            for tag in ("language", "title"):
                if tag in old.metadata:
                    stream.metadata[tag] = old.metadata[tag]
            # The times of the film are whole ticks of its own clock.
            self.clock = max(old.time_base or Fraction(0), Fraction(1, CLOCK))
        context.time_base = self.clock
        self.stream = stream


@contextmanager
def film_writer(
    stem: str,
    source: Source,
    footage: Footage,
    limits: Limits,
    size: tuple[int, int],
    crf: int,
    preset: str,
    comment: str,
    written: dict[str, object],
) -> Iterator[FilmWriter]:
    """Writes the film `stem`.mp4 or .mkv, local or in object storage, of pictures that take the
    place of those of `footage`, which is `source` opened.

    Sound, subtitles, chapters, covers, tags are copied; `comment` is added to the tag of this name.
    The same pictures give the same bytes. The file appears when the block ends, whole; where it
    ends with an error nothing does. `written` is then told the file's name (`film`), the streams
    that no such file takes (`left_out_streams`) and the tags (`left_out_tags`). Raises `InputError`
    for a size that H.264 does not have, FaultError where a disk refuses.
    """
    if max(size) > LARGEST or any(side % 2 for side in size):
        raise InputError.at(
            source.name, "too large a film to be written",
            f": {size[0]}×{size[1]}; its sides must be even and at most {LARGEST} px",
        )  # fmt: skip
    with ExitStack() as stack:
        companions = None
        if footage.stream is not None:
            container = stack.enter_context(open_container(source, limits))
            companions = Companions(container, footage)
        ending = companions.ending if companions else "mp4"
        uri = f"{stem}.{ending}"
        path = stack.enter_context(storage.whole(uri))
        tags = _with_comment(companions.tags() if companions else {}, comment)
        # Matroska would draw its names by chance.
        with opened(uri, path, MUXERS[ending], {"fflags": "+bitexact"}) as output:
            output.metadata.update(tags)
            options = options_of(crf, preset, THREADS)
            writer = FilmWriter(output, footage, companions, size, options, uri)
            yield writer
            writer.finish()
        written["film"] = uri.rpartition("/")[2]
        written["left_out_streams"] = companions.left_out if companions else []
        written["changed_streams"] = companions.changed if companions else []
        written["left_out_tags"] = _lost(path, tags)


@contextmanager
def _encoding(uri: str) -> Iterator[None]:
    """Around what x264 does: of what may go wrong there it is memory that it lacks."""
    try:
        with storage.writing(uri):
            yield
    except av.error.ExternalError as error:
        raise MemoryError from error


def _with_comment(tags: dict[str, str], comment: str) -> dict[str, str]:
    key = next((tag for tag in tags if tag.casefold() == COMMENT), COMMENT)
    return tags | {key: " | ".join(filter(None, [tags.get(key, ""), comment]))}


def _lost(path: Path, tags: Mapping[str, str]) -> list[str]:
    """The tags that are not in a file."""
    with av.open(str(path), metadata_errors="replace") as container:
        kept = {_kept_as(tag) for tag in container.metadata}
    return sorted(tag for tag in tags if _kept_as(tag) not in kept)


def _kept_as(tag: str) -> str:
    """What all containers keep of a tag's name: Matroska has capitals alone, and no blanks."""
    return tag.casefold().replace(" ", "_")
