"""What a codec leaves of a short film, in memory: H.264, or JPEG frame by frame.

For H.264, colours go to 4:2:0 and back here, in integers, with chroma sited at the centre of each
2×2 block as JPEG has it: no shift of colour enters, and every machine gives the same bytes.
"""

from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

BLOCK, MARGIN = 16, 8  # pixels: a macroblock, and the least around the picture
# One thread, and no macroblock tree: with it x264's assembler was seen to give one of several
# streams of the same frames, for pictures as small as these.
X264 = {"preset": "veryfast", "threads": "1", "mbtree": "0"}


def compress(frames: Frames, codec: str, quality: int, left: int, top: int) -> Frames:
    """Returns `frames`, T×n×n×3 uint8 RGB, as decoded after `codec` has encoded them.

    `quality` is x264's constant rate factor (lower is better) or JPEG's 0–100. The codec sees them
    inside a larger frame, their reflection, `left` and `top` pixels (0–15) past a block's corner.
    Raises ValueError for another codec.
    """
    size = frames.shape[1]
    x, y = MARGIN + left, MARGIN + top
    side = -(-(max(x, y) + size + MARGIN) // BLOCK) * BLOCK
    around = (y, side - size - y, x, side - size - x)
    canvas = np.stack([cv2.copyMakeBorder(f, *around, cv2.BORDER_REFLECT_101) for f in frames])
    if codec == "h264":
        decoded = _h264(canvas, quality)
    elif codec == "jpeg":
        decoded = np.stack([_jpeg(frame, quality) for frame in canvas])
    else:
        raise ValueError(f"codec {codec!r}: expected h264 or jpeg")
    return np.ascontiguousarray(decoded[:, y : y + size, x : x + size])


def _jpeg(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def _h264(frames: Frames, crf: int) -> Frames:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames.shape[1:3]
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(25)
    encoder.options = {"crf": str(crf), **X264}
    packets = []
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(_to_planes(frame), format="yuv420p")
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    shown = [picture for packet in [*packets, None] for picture in decoder.decode(packet)]
    return np.stack(
        [_from_planes(picture.to_ndarray().astype(np.uint8, copy=False)) for picture in shown]
    )


def _to_planes(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H×W×3 RGB to the planes of 4:2:0 as PyAV takes them: 1.5·H×W, Y above Cb above Cr."""
    height, width = frame.shape[:2]
    luma, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    half = (width // 2, height // 2)
    chroma = [cv2.resize(c, half, interpolation=cv2.INTER_AREA) for c in (blue, red)]
    return np.concatenate([luma.ravel(), *(c.ravel() for c in chroma)]).reshape(-1, width)


def _from_planes(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width = planes.shape[1]
    height = planes.shape[0] * 2 // 3
    halves = planes[height:].reshape(2, height // 2, width // 2)
    blue, red = (cv2.resize(h, (width, height), interpolation=cv2.INTER_LINEAR) for h in halves)
    return cv2.cvtColor(cv2.merge([planes[:height], red, blue]), cv2.COLOR_YCrCb2RGB)
