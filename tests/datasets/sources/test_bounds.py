"""Footage of any size: what is read is bounded in memory, pixels, length and time."""

import os
import struct
import subprocess
import sys
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets.clips.windows import Account
from datasets.sources import footage
from datasets.sources.discovery import find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from datasets.tracking.detectors import Detector
from infra.extraction import Limits
from tests.datasets.sources.test_hostile import read, source
from tests.support.cutting import cut
from tests.support.media import (
    Frame,
    bright_detector,
    moving_square,
    write_images,
    write_matroska_bomb,
    write_video,
)


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    """1800 frames of 128×128, one in two seconds, are 88 MB, were they kept."""
    write_video(tmp_path / "one.mp4", [np.full((128, 128, 3), 90, np.uint8)])
    with av.open(str(tmp_path / "one.mp4")) as container:
        picture = bytes(next(container.demux(video=0)))
        described = container.streams.video[0].codec_context.extradata
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(1, 2))
        stream.width, stream.height, stream.codec_context.extradata = 128, 128, described
        for number in range(1800):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(2), True
            container.mux(packet)
    account, used = Account(), []
    for _ in cut(source(tmp_path / "v.mp4"), None, clip_stride=60, account=account):
        used.append(resident_megabytes())
    assert account.frames == 1800
    assert len(used) == 30
    assert used[-1] - used[1] < 30


def peak_megabytes() -> float:
    """The most that this program has held; getrusage would count what its process held before."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def png(width: int, height: int) -> bytes:
    """A black grey-level PNG, however large, in about a thousandth of its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_a_frame_of_8k_is_within_the_bounds_and_none_larger() -> None:
    bounds = footage.Bounds("v", Limits())
    bounds.check_size(8192, 4320)
    with pytest.raises(DecodeError, match="8192×4321 is more than 35389440 pixels"):
        bounds.check_size(8192, 4321)


BOMB = png(10_000, 10_000)


def test_an_image_of_100_megapixels_is_refused_before_its_pixels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(BOMB) < 200_000
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(BOMB)

    def never(*_: object) -> NDArray[np.uint8]:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(DecodeError, match=r"a/b/1\.png: a frame of 10000×10000 is more than 8294"):
        read(tmp_path / "b", max_pixels=3840 * 2160)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("side", [64, 10_000])
def test_a_video_of_100_megapixel_frames_is_refused(tmp_path: Path, side: int) -> None:
    """The container says `side`, the frames say 10,000."""
    with av.open(str(tmp_path / "v.mov"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = side, side, "gray"
        for number in range(3):
            packet = av.Packet(BOMB)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    with pytest.raises(DecodeError, match="more than 8294400 pixels"):
        read(tmp_path / "v.mov", max_pixels=3840 * 2160)
    # In a program of its own, whose peak is not that of the tests before.
    script = (
        "from pathlib import Path; from sys import argv\n"
        "from tests.datasets.sources.test_bounds import peak_megabytes, read\n"
        "from infra.errors import InputError\n"
        "before = peak_megabytes()\n"
        "try: read(Path(argv[1]), max_pixels=3840 * 2160)\n"
        "except InputError: print(peak_megabytes() - before)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "v.mov")]
    grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(grown) < 60  # one frame alone is 95 MiB


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_bomb_with_the_name_of_a_video_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BOMB)
    with pytest.raises(DecodeError, match="not a readable video"):
        read(tmp_path / name)


def test_a_zipped_bomb_is_no_source_under_its_own_name_and_none_under_another(
    tmp_path: Path,
) -> None:
    for name in ("a/bomb.zip", "a/bomb.mp4", "b/bomb.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("1.png", BOMB)
    found = find_sources(str(tmp_path))
    assert [item.name for item in found] == ["a/bomb.mp4", "b"]
    for item, said in zip(found, ("not a readable video", "not a readable image"), strict=True):
        with pytest.raises(DecodeError, match=said), open_source(item) as footage:
            list(footage.frames())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["v.mkv", "1.png"])
def test_what_takes_too_much_memory_is_refused_and_the_next_is_read(
    tmp_path: Path, name: str
) -> None:
    """Neither has a frame of more than a few pixels. By itself the film takes seven times its
    100 MB, and the image its 2 GB."""
    if name == "v.mkv":
        write_matroska_bomb(tmp_path / name, 100)
        assert len(read(tmp_path / name)) == 3
        bomb = tmp_path / name
    else:
        bomb = tmp_path / "b"
        write_images(bomb, [name], moving_square(1))
        os.truncate(bomb / name, 2 << 30)
    with pytest.raises(DecodeError, match=r"takes more than 300 MB of memory; .* raise max_memory"):
        read(bomb, max_memory=300)
    write_video(tmp_path / "w.mp4", moving_square(3))
    assert len(read(tmp_path / "w.mp4", max_memory=300)) == 3
    assert len(bytearray(400 << 20)) == 400 << 20  # nothing is left of the limit


def test_too_long_a_video_is_refused_by_its_header_or_by_its_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(50))
    assert len(read(tmp_path / "v.mp4", max_seconds=2)) == 50
    with pytest.raises(DecodeError, match=r"plays for 2 s or more, longer than 1 s; .* max_sec"):
        read(tmp_path / "v.mp4", max_seconds=1)
    # Without a length in its header, as a recording that was broken off.
    write_video(tmp_path / "w.mkv", moving_square(50), options={"live": "1"})
    with open_source(source(tmp_path / "w.mkv"), Limits(max_seconds=1)) as footage:
        frames = footage.frames()
        for _ in range(26):
            next(frames)
        with pytest.raises(DecodeError, match="longer than 1 s"):
            next(frames)


def test_too_many_images_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "b", [f"{i}.png" for i in range(30)], moving_square(30))
    with pytest.raises(DecodeError, match="longer than 1 s"):
        read(tmp_path / "b", max_seconds=1)


@pytest.mark.parametrize("kind", ["video", "images"])
def test_work_that_takes_too_long_is_ended(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the detector moves, so that a slow machine changes nothing."""
    path = tmp_path / ("v.mp4" if kind == "video" else "v")
    if kind == "video":
        write_video(path, moving_square(60))
    else:
        write_images(path, [f"{i:02d}.png" for i in range(60)], moving_square(60))

    now = [0.0]
    monkeypatch.setattr(footage, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(frame: Frame) -> NDArray[np.float32]:
        now[0] += 0.1
        return bright_detector(frame)

    account = Account()
    clips = cut(
        source(path), Detector(slow), stride=1,
        limits=Limits(time_limit=0.3), account=account,
    )  # fmt: skip
    with pytest.raises(DecodeError, match=r"took longer than 0\.3 s; .* raise time_limit"):
        list(clips)
    assert 0 < account.frames < 60


@pytest.mark.parametrize("kind", ["video", "webp", "images"])
def test_the_time_in_which_nobody_wants_a_frame_does_not_count(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the one moves who takes the frames: an hour away between any two, then
    at work for longer than is allowed."""
    frames = moving_square(60, step=1)  # WebP makes one of frames that are alike
    path = tmp_path / {"video": "v.mp4", "webp": "v.webp", "images": "v"}[kind]
    if kind == "video":
        write_video(path, frames)
    elif kind == "webp":
        first, *others = map(Image.fromarray, frames)
        first.save(path, save_all=True, append_images=others, duration=40)
    else:
        write_images(path, [f"{i:02d}.png" for i in range(60)], frames)
    now = [0.0]
    monkeypatch.setattr(footage, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with open_source(source(path), Limits(time_limit=10)) as opened:
        shown = opened.frames()
        for _ in range(40):  # a film's first 26 packets are read at once
            next(shown)
            with opened.pause():
                now[0] += 3600
            now[0] += 0.24
        now[0] += 1
        with pytest.raises(DecodeError, match="took longer than 10 s"):
            list(shown)
