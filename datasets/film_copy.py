"""What goes with the pictures of a film: its sound, subtitles, chapters and all else, as it is."""

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from datasets.film_sound import DecodedSound, can_be_decoded
from datasets.sources.films.truncation import restarts
from datasets.sources.footage import DecodeError, Footage
from datasets.sources.images import short

MUXERS = {"mp4": "mp4", "mkv": "matroska"}  # by the ending of a file
TO_MP4 = "mov", "gif"  # beginnings of the formats of which an mp4 is made, where all fits there
OF_CONTAINER = ("major_brand", "minor_version", "compatible_brands", "encoder")  # tags of its own
PICTURES = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif"}
NO_TEXT = b"\0\0"  # the length of a text of mp4's
EARLY = 1  # s before it is shown that a packet is decoded which does not tell when


class Companions:
    """All streams of an open `container` but the one that `footage` shows: packets as they are, at
    their times. Tell which `ending` of `MUXERS` the copy is to have, `add_to` its container, then
    mux what `up_to` gives. `left_out` says which streams, or parts of streams, are not in the copy,
    `changed` which are not as they were: sound that neither takes, such as WMA, is decoded.

    Times are those of the container; only where these begin anywhere (broadcasts) they are counted
    from its beginning, `zero` [s].
    """

    def __init__(self, container: InputContainer, footage: Footage) -> None:
        self.container, self.footage = container, footage
        self.anywhere = restarts(container)
        start = container.start_time or 0
        self.zero = Fraction(start, av.time_base) if self.anywhere else Fraction(0)
        # What a demuxer leaves out is what it reads for itself, such as the titles of chapters.
        found = [
            s for s in container.streams
            if s.index != footage.stream and s.discard != Discard.all
        ]  # fmt: skip
        endings = ["mp4", "mkv"] if container.format.name.startswith(TO_MP4) else ["mkv"]
        fitting = {
            ending: {s.index for s in found if _takes(MUXERS[ending], s)} for ending in endings
        }
        odd = [s for s in found if isinstance(s, AudioStream) and s.index not in fitting["mkv"]]
        to_decode = {sound.index: sound for sound in odd if can_be_decoded(sound)}
        fitting["mkv"].update(to_decode)
        self.ending = max(endings, key=lambda ending: len(fitting[ending]))
        self.taken = fitting[self.ending]
        self.left_out = [_told(s) for s in found if s.index not in self.taken]
        self.to_decode = to_decode if self.ending == "mkv" else {}
        self.sounds: dict[int, DecodedSound] = {}
        self.unended: list[int] = []  # of these
        self.copies: dict[int, Stream] = {}
        self.last: dict[int, int] = {}
        for stream in container.streams:
            # The pictures' own tell where in a broadcast the clock begins anew.
            needed = self.anywhere and stream.index == footage.stream
            if stream.index not in self.taken and not needed:
                stream.discard = Discard.all
        self.covers, packets = _covers(container)
        self.packets = self._timed(packets)
        self.waiting = next(self.packets, None)

    @property
    def pictures(self) -> VideoStream:
        """The stream that the footage shows."""
        assert self.footage.stream is not None
        stream: VideoStream = self.container.streams[self.footage.stream]  # type: ignore[assignment]
        return stream

    @property
    def changed(self) -> list[str]:
        """The streams that are not copied as they are, and what was done to them."""
        return [f"{_told(sound.stream)} {sound.told}" for sound in self.sounds.values()]

    def tags(self) -> dict[str, str]:
        """The tags of the whole film: its title and the like."""
        return {k: v for k, v in self.container.metadata.items() if k not in OF_CONTAINER}

    def add_to(self, output: OutputContainer, add_pictures: Callable[[], None]) -> None:
        """Adds the streams, in their order, and the chapters; `add_pictures` adds that of the
        pictures in its place."""
        for stream in self.container.streams:
            if stream.index == self.footage.stream:
                add_pictures()
            elif stream.index in self.taken:
                cover = self.covers.get(stream.index)
                if cover is not None and self.ending == "mkv":
                    _attach(output, stream, cover)
                elif stream.index in self.to_decode:
                    sound = DecodedSound(self.to_decode[stream.index], output)
                    self.sounds[stream.index] = sound
                    self.unended.append(stream.index)
                    self.copies[stream.index] = _labelled(sound.copy, stream)
                else:
                    self.copies[stream.index] = _add(output, stream)
        chapters = self.container.chapters()
        for chapter in chapters:
            shift = round(self.zero / (chapter["time_base"] or 1))
            chapter["start"], chapter["end"] = chapter["start"] - shift, chapter["end"] - shift
        output.set_chapters(chapters)

    def up_to(self, time: float) -> "Iterator[av.Packet[Stream]]":
        """The next packets, ready to be muxed, up to those of `time`, in seconds since the first
        picture."""
        for index, cover in self.covers.items():
            if index in self.copies:
                yield self._moved(cover, Fraction(0))
        self.covers = {}
        while self.waiting is not None and self.waiting[0] <= time:
            packet, shift = self.waiting[1:]
            index = packet.stream.index
            if index in self.copies and index in self.sounds:
                yield from self.sounds[index].packets(packet, shift)
            elif index in self.copies and not _is_gap(packet):
                yield self._moved(packet, shift)
            self.waiting = next(self.packets, None)
        while self.waiting is None and self.unended:
            index = self.unended.pop()
            if index in self.copies:
                yield from self.sounds[index].packets(None, Fraction(0))

    def refused(self, packet: "av.Packet[Stream]", error: av.FFmpegError) -> None:
        """Leaves out the rest of a stream of which the muxer took no more than what was before
        `packet`."""
        index = next(i for i, copy in self.copies.items() if copy.index == packet.stream_index)
        del self.copies[index]
        begin = float((packet.pts or 0) * packet.time_base)
        told = _told(self.container.streams[index])
        self.left_out.append(f"{told} from {begin:.1f} s on: refused ({short(error)})")

    def _timed(
        self, packets: "Iterator[av.Packet[Stream]]"
    ) -> "Iterator[tuple[float, av.Packet[Stream], Fraction]]":
        """Packets with the time at which they are shown [s since the first picture], and what is
        added to their own [s].

        Where the clock began anew a packet may belong to any run of it: it belongs to that by which
        it comes nearest to the one before it in the file.
        """
        offsets, time = self.footage.offsets, 0.0
        try:
            for packet in packets:
                own, run = packet.dts if packet.pts is None else packet.pts, 0
                if own is not None:
                    times = [float(own * packet.time_base) + offset for offset in offsets]
                    run = min(range(len(times)), key=lambda k: abs(times[k] - time))
                    time = times[run]
                yield time, packet, Fraction(offsets[run] - offsets[0]) - self.zero
        except MemoryError:
            raise
        except av.FFmpegError as error:
            self.left_out.append(f"all streams from {time:.1f} s on: damaged ({short(error)})")
        except OSError as error:
            said = f" ({short(error)})"
            raise DecodeError.at(self.footage.name, "not readable to its end", said) from error

    def _moved(self, packet: "av.Packet[Stream]", shift: Fraction) -> "av.Packet[Stream]":
        """The packet as one of the copy's stream, `shift` seconds later."""
        copy, base = self.copies[packet.stream.index], packet.time_base
        unit = copy.time_base
        assert unit is not None

        def ticks(time: Fraction) -> int:
            return round(time / unit)

        last = self.last.get(copy.index)
        pts = None if packet.pts is None else ticks(packet.pts * base + shift)
        if packet.dts is not None:
            dts = ticks(packet.dts * base + shift)
        elif last is not None:
            dts = last + 1
        else:
            dts = 0 if pts is None else pts - ticks(Fraction(EARLY))
        if last is not None:  # muxers refuse what goes back; mp4 what stands still, too
            dts = max(dts, last + (self.ending == "mp4"))
        self.last[copy.index] = dts
        duration = ticks((packet.duration or 0) * base)
        packet.stream, packet.time_base = copy, unit
        packet.pts, packet.dts = dts if pts is None else max(pts, dts), dts
        packet.duration = duration
        return packet


def _takes(muxer: str, stream: Stream) -> bool:
    """Whether a container takes a stream; its muxer alone knows."""
    if muxer == "matroska" and stream.disposition & Disposition.attached_pic:
        return True  # as a file
    output = av.open(io.BytesIO(), "w", format=muxer)
    try:
        _add(output, stream)
        output.start_encoding()
        output.close()
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError):
        return False
    return True


def _add(output: OutputContainer, stream: Stream) -> Stream:
    return _labelled(output.add_stream_from_template(stream, opaque=True), stream)


def _labelled(copy: Stream, stream: Stream) -> Stream:
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _attach(output: OutputContainer, stream: Stream, cover: "av.Packet[Stream]") -> None:
    """Matroska keeps covers as files."""
    kind = stream.metadata.get("mimetype") or PICTURES.get(stream.codec_context.name, "")
    name = stream.metadata.get("filename") or f"cover.{kind.rpartition('/')[2] or 'bin'}"
    output.add_attachment(name, kind or "application/octet-stream", bytes(cover))


def _covers(
    container: InputContainer,
) -> "tuple[dict[int, av.Packet[Stream]], Iterator[av.Packet[Stream]]]":
    """The pictures attached to a film, which come first, by stream, and all packets behind them."""
    packets: Iterator[av.Packet[Stream]] = (
        packet for packet in container.demux() if packet.size or packet.pts is not None
    )
    covers: dict[int, av.Packet[Stream]] = {}
    for packet in packets:
        if not packet.stream.disposition & Disposition.attached_pic:
            return covers, chain([packet], packets)
        covers[packet.stream.index] = packet
    return covers, packets


def _is_gap(packet: "av.Packet[Stream]") -> bool:
    """Whether a packet of an mp4's subtitles is the empty text between two, which the muxer fills
    in by itself."""
    codec = packet.stream.codec_context
    return codec is not None and codec.name == "mov_text" and bytes(packet) == NO_TEXT


def _told(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else "unknown"
    return f"stream {stream.index}: {stream.type} ({codec})"
