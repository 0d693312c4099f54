"""Sound that no container takes as it is, decoded, so that a film is not silent without it."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream


def can_be_decoded(stream: AudioStream) -> bool:
    """Whether there is a decoder, and the file tells what it needs."""
    known = stream.codec_context is not None
    return known and stream.rate > 0 and stream.layout.nb_channels > 0


class DecodedSound:
    """A stream of sound as PCM, in a stream of its own of `output`, the `copy`."""

    def __init__(self, stream: AudioStream, output: OutputContainer) -> None:
        self.stream, self.rate = stream, stream.rate
        self.copy = output.add_stream("pcm_s16le", rate=stream.rate, layout=stream.layout)
        self.next = 0  # sample
        self.damaged = 0  # packets

    @property
    def told(self) -> str:
        """As what it is kept, and what of it could not be."""
        damage = f", damaged packets: {self.damaged}" if self.damaged else ""
        return f"as {self.copy.codec_context.name}{damage}"

    def packets(
        self, packet: "av.Packet[Stream] | None", shift: Fraction
    ) -> "Iterator[av.Packet[Stream]]":
        """What is to be muxed for a packet, `shift` seconds later; None: for what the decoder still
        holds. A packet that cannot be decoded is left out and counted."""
        try:
            for frame in self.stream.codec_context.decode(packet):
                self._place(frame, shift)
                yield from self.copy.encode(frame)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):  # such as a rate that changes
            self.damaged += 1

    def _place(self, frame: av.AudioFrame, shift: Fraction) -> None:
        """Gives a frame the time at which the source has it, or that at which the last one ends."""
        if frame.pts is not None and frame.time_base is not None:
            self.next = round((frame.pts * frame.time_base + shift) * self.rate)
        frame.pts, frame.time_base = self.next, Fraction(1, self.rate)
        self.next += frame.samples
