"""Whether a video was read to the end that its container promises."""

import re
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from datasets.sources.footage import DecodeError

TRUNCATED = "truncated or damaged"
# More than this is missing data. MP4's count may include frames that an edit list hides, and AVI's
# those that were dropped in recording; a length may be that of other streams, or only estimated.
MISSING_SHARE, MISSING_FRAMES, MISSING_SECONDS = 0.02, 2, 1.0
# Matroska's own length of the stream holds to a few frames.
MISSING_STEPS, MISSING_TAGGED_SECONDS = 3, 0.2


@dataclass
class Tally:
    """What has been decoded: sound frames, broken ones, the time of the last [s], and the longest
    time that one is shown [s]."""

    frames: int = 0
    broken: int = 0
    end: float = 0.0
    step: float = 0.0


def check_whole(container: InputContainer, stream: VideoStream, name: str, tally: Tally) -> None:
    """Compares what was decoded with what the container promised: a truncated file ends early.

    Raises `DecodeError` with both.
    """
    count, expected = tally.frames, stream.frames
    base = float(stream.time_base or 0)
    # The frames of AVI are numbered, dropped ones included: the last number tells its end.
    early = "avi" in container.format.name and tally.end < (expected - MISSING_FRAMES - 1) * base
    if expected - count > MISSING_FRAMES + (0 if early else MISSING_SHARE * expected):
        raise DecodeError.at(
            name, TRUNCATED,
            f": {count} of the {expected} frames that its header promises could be decoded",
        )  # fmt: skip
    if count == 0 or expected:
        return
    if (promised := _tagged_seconds(container, stream)) is not None:
        # Some writers count from the first frame, some from the file's zero: never before that.
        length = tally.end + tally.step
        slack = max(MISSING_STEPS * tally.step, MISSING_TAGGED_SECONDS)
    elif (promised := promised_seconds(container, stream)) is not None:
        length = tally.end - (stream.start_time or 0) * base
        slack = MISSING_SHARE * promised + MISSING_SECONDS
    else:
        return
    if length < promised - slack:
        raise DecodeError.at(
            name, TRUNCATED,
            f": the video ends at {length:.1f} s of the {promised:.1f} s that its header promises",
        )  # fmt: skip


def promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length of `stream` by its header [s], None where it tells none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if (tagged := _tagged_seconds(container, stream)) is not None:
        return tagged
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None  # the container's length may be that of its sound


def _tagged_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length that Matroska keeps for each stream; elsewhere such a tag may be a leftover."""
    if "matroska" not in container.format.name:
        return None
    clock = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else None
