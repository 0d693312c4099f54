"""Decodes the stream of pictures of an open container: its sound frames, each with its time.

Only the decoder can tell damage, and only where the codec has redundancy: H.264, MPEG-1, -2, -4 and
WMV seldom hide a flipped bit; HEVC, VP8, VP9 and AV1 mostly do. What is missing after damage cannot
be known. So it refuses a film as a whole, unless `limits.damage` says to split it there.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from typing import IO

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from datasets.sources.films.clock import REMEMBERED, Clock, usual_rate
from datasets.sources.films.entry import Entry
from datasets.sources.films.truncation import Tally, check_whole, least_seconds, restarts
from datasets.sources.footage import DAMAGE, DIFFERING, Bounds, DecodeError
from datasets.sources.images import short

IMAGE_RATE = Fraction(25)
NEARLY_THE_SAME = 0.01  # aspects of pixels: broadcasters have several for one
# How many frames needed a treatment.
DAMAGED, CUT_OFF, ENDS_EARLY = "damaged frames", "frames without a key frame", "ends that are lost"


@dataclass
class Film:
    """The pictures of one `stream` of a `file`, read once. `times`, `breaks`, `counts` and
    `offsets` are those of `Footage`, filled before a frame is given; `rate` is known with the first
    one."""

    container: InputContainer
    stream: VideoStream
    bounds: Bounds
    file: IO[bytes]
    head: bytes  # the beginning of the file
    rate: Fraction = IMAGE_RATE
    times: list[float] = field(default_factory=list)
    breaks: dict[int, str] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    aspect: Fraction | None = None  # of pixels as the decoder told it at the first key frame

    def frames(self) -> Iterator[av.VideoFrame]:
        """Streams the sound frames; raises `DecodeError` where the stream ends or breaks early."""
        stream, bounds = self.stream, self.bounds
        bounds.check_size(stream.width, stream.height)
        bounds.check_length(least_seconds(self.container, stream))
        try:
            yield from self._timed(self._packets())
        except MemoryError:
            raise
        except (av.FFmpegError, OSError) as error:
            after = f" after frame {self.tally.frames} ({short(error)})"
            if not isinstance(error, av.FFmpegError):
                raise DecodeError.at(bounds.name, "not readable to its end", f",{after}") from error
            if not self.splits:
                raise DecodeError.at(bounds.name, "damaged", after) from error
            self.counts[ENDS_EARLY] = 1
        self._judge()

    @property
    def splits(self) -> bool:
        """Whether damage begins a shot, in place of refusing the film."""
        return self.bounds.limits.damage == "split"

    def _judge(self) -> None:
        tally, name = self.tally, self.bounds.name
        if tally.broken and not self.splits:
            raise DecodeError.at(
                name, "damaged",
                f" after frame {tally.frames}: broken or concealed by the decoder: {tally.broken}; "
                "get a sound copy",
            )  # fmt: skip
        try:
            check_whole(self.container, self.stream, name, tally, self.file, self.head)
        except DecodeError:
            if not self.splits or not tally.frames:
                raise
            self.counts[ENDS_EARLY] = 1
        except OSError as error:
            said = f" ({short(error)})"
            raise DecodeError.at(name, "not readable to its end", said) from error

    def _packets(self) -> "Iterator[av.Packet[VideoStream]]":
        """The packets of the stream; what lies apart from it in the file is not even read."""
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all
        for packet in self.container.demux(self.stream):
            self.bounds.check_time()
            yield packet

    def _timed(self, packets: "Iterator[av.Packet[VideoStream]]") -> Iterator[av.VideoFrame]:
        """The sound frames, with their times and breaks."""
        first = list(islice(packets, REMEMBERED + 1))
        told = self.stream.average_rate or self.stream.guessed_rate or IMAGE_RATE
        self.rate = usual_rate(
            Fraction(told), [p.pts * p.time_base for p in first if p.pts is not None]
        )
        clock = Clock(self.rate, restarts(self.container), self.times, self.breaks, self.offsets)
        shape: tuple[int, int, int] | None = None
        for frame in self._sound(chain(first, packets)):
            own = frame.width, frame.height, frame.rotation
            shape = shape or own
            if own != shape:
                raise DecodeError(
                    f"{self.bounds.name}: frame {self.tally.frames} is {_shown(*own)}, not "
                    f"{_shown(*shape)} as those before it",
                    DIFFERING,
                )
            self._check_aspect()
            clock.show(frame.time)
            self.bounds.check_length(self.times[-1])
            self.tally.frames += 1
            yield frame

    def _own_aspect(self) -> Fraction:
        """The aspect of pixels by what the decoder saw last, 1 where it is not told."""
        return self.stream.codec_context.sample_aspect_ratio or Fraction(1)

    def _check_aspect(self) -> None:
        """Refuses pixels of another aspect than the first. PyAV does not tell that of a frame, and
        the decoder is ahead of the frames that it gives."""
        first, own = self.aspect or Fraction(1), self._own_aspect()
        if abs(own / first - 1) > NEARLY_THE_SAME:
            raise DecodeError(
                f"{self.bounds.name}: frame {self.tally.frames}, or one soon after it, has pixels "
                f"of {_ratio(own)}, not {_ratio(first)} as those before it",
                DIFFERING,
            )

    def _sound(self, packets: "Iterator[av.Packet[VideoStream]]") -> Iterator[av.VideoFrame]:
        """The frames that are whole. Behind damage that refuses the film, frames are decoded only
        to count the broken ones; else those up to the next key frame are left out."""
        tally, told, failed = self.tally, 0, set[int | None]()
        entry = Entry(self.stream, waiting=restarts(self.container))
        for packet in packets:
            entry.take_up(packet)
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                if packet.has_sidedata("encryption_info"):
                    raise DecodeError.at(
                        self.bounds.name, "its picture is encrypted", "; decrypt it"
                    ) from None
                self._broken(entry, entry.excuses(packet))
                failed.add(packet.pts)
                continue
            if self.aspect is None and not entry.waiting:
                self.aspect = self._own_aspect()
            for frame in frames:
                self.bounds.check_size(frame.width, frame.height)
                tally.see(frame)
                cut_off = entry.is_cut_off(frame.pts)
                if frame.is_corrupt:
                    if frame.pts is None or frame.pts not in failed:  # else it is counted already
                        self._broken(entry, cut_off)
                elif entry.waiting or (tally.broken and cut_off):
                    self._leave_out()
                elif self.splits or not tally.broken:
                    if tally.broken > told:
                        self.breaks[tally.frames], told = DAMAGE, tally.broken
                    yield frame

    def _broken(self, entry: Entry, excused: bool) -> None:
        if not excused:
            self.tally.broken += 1
            entry.waiting = self.splits
        if not entry.lenient:  # or the frame comes all the same
            self._leave_out()

    def _leave_out(self) -> None:
        self.tally.left_out += 1
        self.counts[DAMAGED if self.tally.broken else CUT_OFF] += 1


def _shown(width: int, height: int, rotation: int) -> str:
    return f"{width}×{height}" + (f" turned by {rotation}°" if rotation else "")


def _ratio(aspect: Fraction) -> str:
    return f"{aspect.numerator}:{aspect.denominator}"
