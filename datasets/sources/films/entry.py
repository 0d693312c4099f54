"""Where in a stream its sound frames begin, when reading begins in its middle or behind damage.

Frames before the first key frame, in the order in which they are shown, may refer to what is not
there. Players leave them out, and so do we. Behind a key frame of H.264 that is no IDR picture,
commands still name pictures from before it, for which a strict decoder raises an error and then
decodes the frame all the same.
"""

from dataclasses import dataclass

import av
from av.video.stream import VideoStream

IDR = 5  # the kind of H.264's units at which everything begins anew


@dataclass
class Entry:
    """The place in `stream` from which on frames are whole: `waiting` for the packet of the next
    key frame, or since the one that is shown at `begin` (None: from the first packet on)."""

    stream: VideoStream
    waiting: bool
    begin: int | None = None
    lenient: bool = False

    def take_up(self, packet: "av.Packet[VideoStream]") -> None:
        """Sees a packet before it is decoded."""
        if not packet.is_keyframe:
            return
        self.lenient = False
        if self.waiting or self.begin is None:
            self.waiting, self.begin = False, packet.pts
            self.lenient = self.stream.codec_context.name == "h264" and not self._is_idr(packet)

    def is_cut_off(self, pts: int | None) -> bool:
        """Whether a frame shown at `pts` may refer to what is before the entry."""
        return self.waiting or (self.begin is not None and pts is not None and pts < self.begin)

    def excuses(self, packet: "av.Packet[VideoStream]") -> bool:
        """Whether a decoder's error at a packet may be about what is before the entry. Where it
        then conceals something, it says so of the frame."""
        return self.lenient or self.is_cut_off(packet.pts)

    def _is_idr(self, packet: "av.Packet[VideoStream]") -> bool:
        data, extra = bytes(packet), self.stream.codec_context.extradata or b""
        if extra[:1] != b"\1":  # units begin with 0, 0, 1
            return any(unit and unit[0] & 31 == IDR for unit in data.split(b"\0\0\1")[1:])
        width, place = (extra[4] & 3) + 1, 0  # units begin with their length
        while place + width < len(data):
            if data[place + width] & 31 == IDR:
                return True
            place += width + int.from_bytes(data[place : place + width], "big")
        return False
