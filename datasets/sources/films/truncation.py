"""Whether a video was read to the end that its container promises."""

import re
from dataclasses import dataclass
from typing import IO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from datasets.sources.films.flv import FLV, missing
from datasets.sources.footage import DecodeError

TRUNCATED = "truncated or damaged"
# More than this is missing data. MP4's index may hold what gives no picture; a length may be that
# of other streams, or only estimated.
MISSING_SHARE, MISSING_FRAMES, MISSING_SECONDS = 0.02, 2, 1.0
# Matroska's own length of the stream holds to a few frames.
MISSING_STEPS, MISSING_TAGGED_SECONDS = 3, 0.2
MISSING_BYTES = 0.01  # of a WMV file, whose length may be that of its sound
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # how a WMV file begins
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # and where it tells its size
TS_DISCONT = 0x200  # FFmpeg's flag of formats whose times may jump: TS, MPEG, Ogg


@dataclass
class Tally:
    """What has been decoded: sound frames, broken ones, all that were left out, the time of the
    last [s], the longest time that one is shown [s], and whether times went back."""

    frames: int = 0
    broken: int = 0
    left_out: int = 0
    end: float | None = None
    step: float = 0.0
    went_back: bool = False

    def see(self, frame: av.VideoFrame) -> None:
        """Takes up the time of a frame, sound or not."""
        if frame.time is None:
            return
        shown = float(frame.duration * (frame.time_base or 0))
        step = 0.0 if self.end is None else frame.time - self.end
        self.step = max(self.step, shown, step)
        self.went_back |= step < -self.step
        self.end = frame.time


def check_whole(
    container: InputContainer,
    stream: VideoStream,
    name: str,
    tally: Tally,
    file: IO[bytes],
    head: bytes,
) -> None:
    """Compares what was decoded with what the container promised: a truncated file ends early.
    `head` is the beginning of the `file`.

    Raises `DecodeError` with both; OSError where the end of the file cannot be read.
    """
    count, expected = tally.frames + tally.left_out, stream.frames
    base, end = float(stream.time_base or 0), tally.end or 0.0
    share = MISSING_SHARE
    if expected and "mov" in container.format.name:
        # Of its index those that no edit hides.
        expected = sum(not entry.is_discard for entry in stream.index_entries)
    elif expected and "avi" in container.format.name:
        # Its frames are numbered, dropped ones included: the last number tells the end.
        if end < (expected - MISSING_FRAMES - 1) * base:
            share = 0.0
        else:
            expected = len(stream.index_entries)
    if expected - count > MISSING_FRAMES + share * expected:
        raise DecodeError.at(
            name, TRUNCATED,
            f": {count} of the {expected} frames that its header promises could be decoded",
        )  # fmt: skip
    promised_bytes = _asf_size(head)
    if promised_bytes and container.size < promised_bytes * (1 - MISSING_BYTES):
        raise DecodeError.at(
            name, TRUNCATED, f": {container.size} of the {promised_bytes} bytes of its header"
        )
    if count == 0 or expected or tally.went_back:
        return
    allowed = MISSING_SHARE, MISSING_SECONDS
    if head.startswith(FLV) and (said := missing(file, head, end, allowed)):
        raise DecodeError.at(name, TRUNCATED, f": {said}")
    if (promised := _tagged_seconds(container, stream)) is not None:
        # Some writers count from the first frame, some from the file's zero: never before that.
        length = end + tally.step
        slack = max(MISSING_STEPS * tally.step, MISSING_TAGGED_SECONDS)
    elif (promised := _promised_seconds(container, stream)) is not None:
        length = end - (stream.start_time or 0) * base
        slack = MISSING_SHARE * promised + MISSING_SECONDS
    else:
        return
    if length < promised - slack:
        raise DecodeError.at(
            name, TRUNCATED,
            f": the video ends at {length:.1f} s of the {promised:.1f} s that its header promises",
        )  # fmt: skip


def least_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The least that `stream` plays for by its header [s]; 0 where that cannot be told."""
    if restarts(container):
        return 0.0  # the difference of two clocks, maybe
    promised = _promised_seconds(container, stream) or 0.0
    if _tagged_seconds(container, stream) is not None:
        # Whoever counts from the file's zero may have begun in 1970.
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        return promised - start if promised > start else promised
    return promised


def restarts(container: InputContainer) -> bool:
    """Whether the container is one for broadcast, which begins anywhere, at any time."""
    return bool(container.format.flags & TS_DISCONT)


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length of `stream` by its header [s], None where it tells none."""
    if "asf" in container.format.name and len(container.streams) > 1:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if (tagged := _tagged_seconds(container, stream)) is not None:
        return tagged
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None  # the container's length may be that of its sound


def _asf_size(head: bytes) -> int:
    """The size of a WMV file by its header [bytes], 0 where that tells none. FFmpeg takes its
    length for that of each stream, and for none where the size is another."""
    place = head.find(ASF_PROPERTIES)
    if not head.startswith(ASF) or place < 0 or len(head) < place + 92:
        return 0
    streamed = head[place + 88] & 1
    return 0 if streamed else int.from_bytes(head[place + 40 : place + 48], "little")


def _tagged_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length that Matroska keeps for each stream; elsewhere such a tag may be a leftover."""
    if "matroska" not in container.format.name:
        return None
    clock = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else None
