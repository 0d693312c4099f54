"""Small videos that the tests of this room draw and write."""

from fractions import Fraction
from io import SEEK_CUR, BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.tracking.detectors import Detector

Frame = NDArray[np.uint8]


def square_frame(x: float, y: float, side: int, width: int = 96, height: int = 72) -> Frame:
    """A white square with a dark border at (x, y) on grey texture."""
    rows, columns = np.mgrid[:height, :width]
    frame = np.repeat((90 + 20 * np.sin(rows / 7 + columns / 5))[:, :, None], 3, 2)
    left, top = round(x), round(y)
    frame[top : top + side, left : left + side] = (230, 200, 170)
    return frame.astype(np.uint8)


def moving_square(count: int, step: float = 0.5) -> list[Frame]:
    """Frames of a square of 32 pixels that moves to the right."""
    return [square_frame(10 + i * step, 20, 32) for i in range(count)]


def write_video(
    path: Path,
    frames: list[Frame],
    rate: Fraction = Fraction(25),
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        # Without them x264's streams of small frames differ from run to run.
        same = {"threads": "1", "mbtree": "0"} if codec == "h264" else {}
        stream = container.add_stream(codec, rate=rate, options=same)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 400_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_images(folder: Path, names: list[str], frames: list[Frame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, frames, strict=True):
        kind = Path(name).suffix
        colour = cv2.COLOR_RGB2GRAY if kind == ".pgm" else cv2.COLOR_RGB2BGR
        _, data = cv2.imencode(kind, cv2.cvtColor(frame, colour))
        (folder / name).write_bytes(data.tobytes())


def write_matroska_bomb(path: Path, megabytes: int) -> None:
    """A sound H.264 film whose codec's private data are followed by so many megabytes of zeros, of
    which FFmpeg makes seven copies; they take no room on the disk."""

    def element(name: str, content: bytes, more: int = 0) -> bytes:
        return bytes.fromhex(name) + (len(content) + more | 1 << 56).to_bytes(8, "big") + content

    with BytesIO() as plain:
        with av.open(plain, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
            for frame in moving_square(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        plain.seek(0)
        with av.open(plain) as container:
            private = container.streams.video[0].codec_context.extradata or b""
            packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    zeros = megabytes << 20
    video = element("e0", element("b0", b"\x60") + element("ba", b"\x48"))
    track = element("d7", b"\1") + element("73c5", b"\1") + element("83", b"\1") + video
    track += element("86", b"V_MPEG4/ISO/AVC") + element("63a2", private, zeros)
    blocks = [
        element("a3", b"\x81" + (40 * number).to_bytes(2, "big") + b"\x80" + packet)
        for number, packet in enumerate(packets)
    ]
    cluster = element("1f43b675", element("e7", b"\0") + b"".join(blocks))
    tracks = element("1654ae6b", element("ae", track, zeros), zeros)
    with path.open("wb") as file:
        file.write(element("1a45dfa3", element("4282", b"matroska")))
        file.write(element("18538067", tracks, zeros + len(cluster)))
        file.seek(zeros, SEEK_CUR)
        file.write(cluster)


def _bright(frame: Frame) -> NDArray[np.float32]:
    rows, columns = np.nonzero(frame[:, :, 0] > 200)
    if len(rows) == 0:
        return np.zeros((0, 4), np.float32)
    x, y = columns.min(), rows.min()
    return np.array([[x, y, columns.max() + 1 - x, rows.max() + 1 - y]], np.float32)


# Finds the bounding box of the pixels that are redder than 200: the squares of this file.
bright_detector = Detector(_bright)


def moving_texture(
    draw: np.random.Generator, frames: int, size: int, margin: int, sigma: float, levels: int
) -> tuple[Frame, NDArray[np.float16]]:
    """A film T×S×S×3 of a blurred texture that jumps by up to 3 pixels, and its motion T×64×2.

    `levels` are left free at black and at white. Frame t shows at q what the centre shows at q - m:
    central(p) = frame_t(p + m), and a shift of m pixels is 2 m / S in units of half the side.
    """
    side = size + 2 * margin
    noise = draw.integers(0, 256, (side, side, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    large = cv2.normalize(blurred, None, levels, 255 - levels, cv2.NORM_MINMAX)
    moves = draw.integers(-3, 4, (frames, 2))
    moves[frames // 2] = 0
    film = np.stack(
        [large[margin - y : margin - y + size, margin - x : margin - x + size] for x, y in moves]
    )
    return film, np.repeat(2 / size * moves[:, None], 64, axis=1).astype(np.float16)
