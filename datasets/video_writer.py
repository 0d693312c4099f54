"""Writes frames as an H.264 mp4 file."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    crf: int,
    preset: str = "medium",
) -> int:
    """Encodes H×W×3 uint8 RGB frames of one even size at `rate` frames/s; returns their number.

    The file appears whole or not at all; frames are encoded as they come. `crf` is x264's
    constant rate factor, lower is better; `preset` trades size
    for speed. Raises ValueError without a frame or for an odd size.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with av.open(str(part), "w", format="mp4") as container:
            # One thread: the file then does not depend on the machine's cores. Without the
            # macroblock tree, whose streams of small frames differ from run to run.
            stream = container.add_stream(
                "libx264",
                rate=rate,
                options={"crf": str(crf), "preset": preset, "threads": "1", "mbtree": "0"},
            )
            stream.pix_fmt = "yuv420p"
            for picture in frames:
                if count == 0:
                    stream.height, stream.width = picture.shape[:2]
                    if stream.height % 2 or stream.width % 2:
                        raise ValueError(f"{path}: a frame of {picture.shape[:2]} has an odd side")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                count += 1
            if count == 0:
                raise ValueError(f"{path}: no frame to write")
            container.mux(stream.encode(None))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return count
