"""Films with all that people's films have besides pictures, and what is to be seen of them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.stream import VideoStream

from datasets.film_writer import film_writer
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.extraction import Limits
from tests.support.films import add_stream, numbered, picture
from tests.support.media import Frame

CHAPTERS = [
    {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
    {"id": 2, "start": 300, "end": 900, "time_base": Fraction(1, 1000), "metadata": {"title": "2"}},
]
TEXTS = [(200, 300, "Guten Tag"), (600, 200, "und Wiedersehen")]  # ms: begin, duration


def whole_film(
    path: Path,
    frames: Sequence[Frame],
    sound: str = "aac",
    subtitles: str = "",
    cover: bool = False,
    start: float = 0.0,
    times: Sequence[Fraction] | None = None,
    rate: int = 25,
    adjust: Callable[[VideoStream], None] = lambda stream: None,
) -> Path:
    """Writes `frames`, the first of them shown at `start` [s], or each at `times`, with noise to be
    heard from 0 on (B-frames: the default of x264), chapters where the container has them, a title,
    a comment, a tag of its own."""
    with av.open(str(path), "w") as output:
        codec = "mpeg2video" if path.suffix == ".mpg" else "libx264"
        stream = add_stream(output, frames[0], codec, "yuv420p", {"crf": "4"}, rate)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 600)
        adjust(stream)
        heard = output.add_stream(sound, rate=48000)
        if sound.startswith("wma"):
            heard.bit_rate = 128_000  # it has no default
        texts = output.add_mux_stream(subtitles) if subtitles else None
        if texts is not None:
            texts.time_base, texts.metadata["language"] = Fraction(1, 1000), "deu"
        if path.suffix in (".mp4", ".mov", ".mkv"):
            output.set_chapters(CHAPTERS)
        output.metadata.update(title="A title", comment="A comment", own="A tag")
        if cover:
            _add_cover(output)
        for number, frame in enumerate(frames):
            shown = picture(frame, "yuv420p")
            at = Fraction(number, rate) + Fraction(start) if times is None else times[number]
            shown.time_base = Fraction(1, 600)
            shown.pts = round(at * 600)
            output.mux(stream.encode(shown))
        output.mux(stream.encode())
        draw = np.random.default_rng(0)
        for number in range(-(-len(frames) * 48000 // rate // 1024)):
            noise = draw.uniform(-0.2, 0.2, (2, 1024)).astype(np.float32)
            part = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            part.sample_rate, part.pts, part.time_base = 48000, 1024 * number, Fraction(1, 48000)
            output.mux(heard.encode(part))
        output.mux(heard.encode())
        for begin, duration, text in TEXTS if texts is not None else []:
            data = text.encode()
            prefix = len(data).to_bytes(2, "big") if subtitles == "mov_text" else b""
            packet = av.Packet(prefix + data)
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = begin
            packet.duration = duration
            output.mux(packet)
    return path


def _add_cover(output: av.container.OutputContainer) -> None:
    grey = np.full((32, 32, 3), 99, np.uint8)
    stream = add_stream(output, grey, "mjpeg", "yuvj420p", {}, 1)
    stream.disposition = Disposition.attached_pic
    shown = picture(grey, "yuvj420p")
    shown.pts, shown.time_base = 0, Fraction(1)
    output.mux(stream.encode(shown))
    output.mux(stream.encode())


def source_of(path: Path) -> Source:
    """A film as a source."""
    return Source(f"file://{path}", f"a/{path.name}", "a", "video")


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time [s], duration [s] and bytes of each packet of one kind, without empty texts."""
    with av.open(str(path)) as container:
        return [
            (p.pts * p.time_base, (p.duration or 0) * p.time_base, bytes(p))
            for p in container.demux()
            if p.stream.type == kind and p.pts is not None and bytes(p) != b"\0\0"
        ]


def pictures(path: Path) -> tuple[list[Fraction], list[Frame]]:
    """The times [s] and pictures of a film of yuv420p, not turned, made RGB by formulas."""
    times, frames = list[Fraction](), list[Frame]()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None and frame.time_base is not None
            times.append(frame.pts * frame.time_base)
            frames.append(_as_rgb(frame))
    return times, frames


def _as_rgb(frame: av.VideoFrame) -> Frame:
    planes = [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]
    rows, columns = np.mgrid[: frame.height, : frame.width].astype(np.float32)
    # H.264 samples colours at the left of two pixels and between two rows.
    at = columns / 2, (rows - 0.5) / 2
    light, blue, red = (plane.astype(np.float32) for plane in planes)
    blue, red = (
        cv2.remap(plane, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) - 128
        for plane in (blue, red)
    )
    kr, kb = (0.2126, 0.0722) if frame.colorspace == 1 else (0.299, 0.114)
    y, b, r = (light - 16) / 219, blue / 112 * (1 - kb), red / 112 * (1 - kr)
    green = y - (kr * r + kb * b) / (1 - kr - kb)
    return np.rint(255 * np.stack([y + r, green, y + b], -1)).clip(0, 255).astype(np.uint8)


def covers(path: Path) -> list[bytes]:
    """The pictures that are attached to a film."""
    with av.open(str(path)) as container:
        return [
            bytes(packet)
            for packet in container.demux()
            if packet.size and packet.stream.disposition & Disposition.attached_pic
        ]


def written_again(
    source: Source, folder: Path, scale: int = 1, damage: str = "refuse"
) -> tuple[Path, dict[str, object]]:
    """The film of the same pictures, `scale` times as large."""
    limits, told = Limits(damage=damage), dict[str, object]()  # type: ignore[arg-type]
    with open_source(source, limits, exact=True) as footage:
        size = footage.width * scale, footage.height * scale
        options = size, 8, "veryfast", "Restored.", told
        with film_writer(str(folder / "film"), source, footage, limits, *options) as writer:
            for frame in footage.frames():
                writer.add(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST))
    return folder / str(told["film"]), told


def shaken(count: int) -> list[Frame]:
    """Numbered frames that are worth B-frames."""
    grain = np.random.default_rng(0).integers(-6, 7, (64, 64 + 2 * count, 1))
    return [
        (frame + grain[:, 2 * i : 2 * i + 64]).astype(np.uint8)
        for i, frame in enumerate(numbered(count, width=64, height=64))
    ]
