"""Test clips as PNG files for another method, and its restored frames read back.

Layout: `<clip>/frame_00.png` … in temporal order, the central one `frame_NN_central.png`, and
`index.json`, which says which clip is in which folder. Another method writes size×size PNG files of
the same names; the central one is enough, its neighbours serve temporal consistency.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from infra import storage
from infra.settings.data import ClipSettings
from infra.text import digest
from workflows.shared.pictures import PNG, Picture, png, read_picture

THREADS = 16  # of small writes, which wait for the disk or the network


class FrameError(ValueError):
    """A restored frame that is missing, unreadable or of another size; the text says which."""


def folder_name(clip_id: str) -> str:
    """A clip's folder: its id made safe for any file system, and a hash that keeps ids apart."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", clip_id).strip("_")[-60:]
    return f"{plain}-{digest(clip_id).hex()[:8]}"


def frame_name(index: int, count: int) -> str:
    """The file of frame `index` of a clip of `count` frames."""
    return f"frame_{index:02d}{'_central' * (index == count // 2)}.png"


def export_clips(uri: str, clips: Mapping[str, Any], clip: ClipSettings) -> int:
    """Write the low frames of clips and `index.json`, last; returns the number of clips."""
    count = clips["low"].shape[1]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(partial(_export_one, uri), map(str, clips["clip_id"]), list(clips["low"])))
    index = {
        "size": clip.size,
        "scale": clip.scale,
        "expected": f"a folder with {clip.size}×{clip.size} RGB PNG files of the same names; "
        "the central frame of each clip is what is measured",
        "clips": [
            {
                "folder": folder_name(str(clip_id)),
                "central": frame_name(count // 2, count),
                "clip_id": str(clip_id),
                "identity": str(identity),
                "video": str(video),
                "frame": int(frame),
            }
            for clip_id, identity, video, frame in zip(
                clips["clip_id"], clips["identity"], clips["video"], clips["frame"], strict=True
            )
        ],
    }
    storage.write_json(storage.join(uri, "index.json"), index)
    return len(clips["clip_id"])


def _export_one(uri: str, clip_id: str, low: Picture) -> None:
    folder = folder_name(clip_id)
    for index in range(low.shape[0]):
        target = storage.join(uri, folder, frame_name(index, low.shape[0]))
        storage.write_bytes(target, png(low[index]))


def read_restored(uri: str, clip_id: str, index: int, count: int, size: int) -> Picture:
    """Another method's frame `index` of a clip, size×size×3 RGB; raises FrameError, naming it."""
    name = f"{folder_name(clip_id)}/{frame_name(index, count)}"
    try:
        content = storage.read_bytes(storage.join(uri, name))
    except FileNotFoundError as error:
        raise FrameError(f"{name}: missing") from error
    if not content.startswith(PNG + b"\0\0\0\rIHDR"):
        raise FrameError(f"{name}: not a readable PNG")
    # By its header, before a few kilobytes become gigabytes of pixels.
    width, height = struct.unpack_from(">II", content.ljust(24, b"\0"), 16)
    if (width, height) != (size, size):
        raise FrameError(f"{name}: {width}×{height} pixels, expected {size}×{size}")
    picture = read_picture(content)
    if picture is None:
        raise FrameError(f"{name}: not a readable PNG")
    return picture


def check_restored(uri: str, clip_ids: Sequence[str], count: int, size: int) -> list[str]:
    """What is wrong with the central frames of a method, a line a file, in the order of clips."""

    def reason(clip_id: str) -> str:
        try:
            read_restored(uri, clip_id, count // 2, count, size)
        except FrameError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for found in pool.map(reason, clip_ids) if found]
