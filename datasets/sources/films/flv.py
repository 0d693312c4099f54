"""What an FLV promises in its metadata, and whether it goes on as far as that.

Its length may be that of its sound, so the picture alone cannot tell. But each tag, of sound or
picture, is followed by its size: from the end of a whole file one comes to the last of them.
"""

import os
import struct
from typing import IO

FLV = b"FLV"  # how a file begins
SOUND, PICTURE, SCRIPT = 8, 9, 18  # kinds of tags
TAG, BEHIND = 11, 4  # bytes: of a tag's header, and of its size behind it
LAST = 32  # tags at the end: the latest tells, as the end of H.264 has a tag behind longer sound
MOST = 1e15  # of bytes or seconds; more is damage


def missing(file: IO[bytes], head: bytes, end: float, allowed: tuple[float, float]) -> str:
    """What is missing at the end of an FLV, in words; "" where nothing is, or none can know.

    `head` is the beginning of the `file`, `end` the time of its last picture [s], and `allowed` the
    share and the seconds by which its length may be wrong. A file that is as large as it promises
    is whole. One that ends within a tag has less than it promises; one that ends between two is
    judged by the time of the latest.
    """
    size = file.seek(0, os.SEEK_END)
    promised, seconds = _number(head, b"filesize"), _number(head, b"duration")
    if promised and size >= promised:
        return ""
    last = _last_time(file, size)
    if promised and last is None:
        return f"{size} of the {promised:.0f} bytes of its header"
    reached = end if last is None else last
    if reached < seconds - allowed[0] * seconds - allowed[1]:
        return f"it ends at {reached:.1f} s of the {seconds:.1f} s that its header promises"
    return ""


def _number(head: bytes, key: bytes) -> float:
    """A number of the metadata, 0 where it is not told: live recordings have 0 there."""
    behind = head.partition(b"\0" + bytes([len(key)]) + key + b"\0")[2]
    if len(behind) < 8:
        return 0.0
    (number,) = struct.unpack(">d", behind[:8])
    return float(number) if 0 < number < MOST else 0.0


def _last_time(file: IO[bytes], size: int) -> float | None:
    """The latest time of the last tags [s], None where the file ends within one."""
    times: list[float] = []
    for _ in range(LAST):
        if (found := _tag_before(file, size)) is None:
            break
        size, time = found
        times.append(time)
    return max(times, default=None)


def _tag_before(file: IO[bytes], end: int) -> tuple[int, float] | None:
    """Where the tag begins that ends, with its size behind it, at `end` [bytes], and its time [s];
    None where there is no such tag."""
    if end < TAG + BEHIND:
        return None
    file.seek(end - BEHIND)
    length = int.from_bytes(file.read(BEHIND), "big")
    place = end - BEHIND - length
    if length < TAG or place < 0:
        return None
    file.seek(place)
    tag = file.read(TAG)
    if tag[0] not in (SOUND, PICTURE, SCRIPT) or length != TAG + int.from_bytes(tag[1:4], "big"):
        return None
    return place, int.from_bytes(tag[7:8] + tag[4:7], "big") / 1000
