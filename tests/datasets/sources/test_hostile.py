"""Footage that is damaged, malicious or only unusual: each case is made here and read."""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from datasets.clips.windows import Account
from datasets.sources.discovery import Source, find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from infra.extraction import Limits
from tests.support.cutting import cut
from tests.support.media import (
    Frame,
    bright_detector,
    moving_square,
    square_frame,
    write_images,
    write_video,
)


def source(path: Path) -> Source:
    kind = "images" if path.is_dir() else "video"
    return Source(f"file://{path}", f"a/{path.name}", "a", kind)


def read(path: Path, **limits: float) -> list[Frame]:
    with open_source(source(path), Limits(**limits)) as footage:
        return list(footage.frames())


def noisy(count: int) -> list[Frame]:
    """Frames that take some bits to encode, so that a flipped one is likely to matter."""
    chance = np.random.default_rng(0)
    noise = chance.integers(-8, 9, (count, 72, 96, 3))
    return [
        np.clip(frame + grain, 0, 255).astype(np.uint8)
        for frame, grain in zip(moving_square(count), noise, strict=True)
    ]


def encode(
    path: Path, frames: list[Frame], codec: str, pixels: str = "yuv420p", **options: str
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt, stream.bit_rate = pixels, 4_000_000
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "codec", "hidden"),
    [("v.mp4", "h264", 1), ("v.wmv", "wmv2", 0), ("v.mpg", "mpeg1video", 2), ("v.avi", "mpeg4", 2)],
)
def test_flipped_bits_are_damage(tmp_path: Path, name: str, codec: str, hidden: int) -> None:
    """Three bits flipped at random, ten times: refused, but for at most `hidden` cases in which
    the stream is another valid one, or nothing that is shown has changed."""
    path = tmp_path / name
    write_video(path, noisy(20), codec=codec)
    whole, passed = path.read_bytes(), 0
    assert len(read(path)) == 20
    for seed in range(10):
        chance, data = np.random.default_rng(seed), bytearray(whole)
        for place in chance.integers(len(data) // 10, len(data) * 9 // 10, 3):
            data[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(data)
        with suppress(DecodeError):
            read(path)
            passed += 1
    assert passed <= hidden


def test_broken_frames_are_counted(tmp_path: Path) -> None:
    """Every frame is a key frame, so that damage to two of them is seen in two of them."""
    path = tmp_path / "v.mp4"
    encode(path, noisy(30), "libx264", g="1")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in (packets[10], packets[20]):
        data[position + size // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=r"damaged after frame 10: .* by the decoder: 2;"):
        read(path)


def test_a_varying_frame_rate_loses_and_doubles_no_frame(tmp_path: Path) -> None:
    times = np.cumsum([0, *np.random.default_rng(0).integers(15, 120, 29)])
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms, frame in zip(times, moving_square(30, 1), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = int(time_ms), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with open_source(source(tmp_path / "v.mkv")) as footage:
        found = list(footage.frames())
    lefts = [bright_detector(frame)[0][0] for frame in found]
    assert len(found) == 30
    assert lefts == sorted(lefts) and len(set(lefts)) == 30


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "width", "height"),
    [
        ("v.mp4", "libx264", "yuv420p10le", 96, 72),
        ("v.mp4", "libx264", "yuv444p", 97, 73),
        ("v.mkv", "ffv1", "yuv444p10le", 97, 73),
        ("v.mkv", "ffv1", "yuv420p", 97, 73),
        ("v.mkv", "ffv1", "gray", 97, 73),
        ("v.mkv", "ffv1", "gbrp16le", 96, 72),
        ("v.mpg", "mpeg2video", "yuv422p", 96, 72),
        ("v.webm", "libvpx-vp9", "yuva420p", 96, 72),
        ("v.mov", "qtrle", "argb", 97, 73),
        ("v.mov", "png", "rgba", 97, 73),
    ],
)
def test_any_pixels_become_eight_bit_rgb(
    tmp_path: Path, name: str, codec: str, pixels: str, width: int, height: int
) -> None:
    frames = [square_frame(10 + i, 20, 32, width, height) for i in range(3)]
    encode(tmp_path / name, frames, codec, pixels)
    found = read(tmp_path / name)
    assert len(found) == 3
    for frame, original in zip(found, frames, strict=True):
        assert frame.dtype == np.uint8
        assert frame.shape == (height, width, 3)
        assert np.abs(frame.astype(int) - original).mean() < 5


def test_images_with_alpha_sixteen_bits_or_one_channel(tmp_path: Path) -> None:
    folder, frame = tmp_path / "b", square_frame(10, 20, 32)
    folder.mkdir()
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "1.png"), np.dstack([bgr, np.full((72, 96), 9, np.uint8)]))
    cv2.imwrite(str(folder / "2.png"), bgr.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "3.png"), bgr[:, :, 1])
    alpha, deep, grey = read(folder)
    np.testing.assert_array_equal(alpha, frame)
    np.testing.assert_array_equal(deep, frame)
    np.testing.assert_array_equal(grey, np.repeat(frame[:, :, 1:2], 3, 2))


def combing(frame: Frame) -> float:
    """How much more neighbouring lines differ than every second one."""
    lines = frame[:, :, 0].astype(int)
    return float(np.abs(lines[1:] - lines[:-1]).mean() - np.abs(lines[2:] - lines[:-2]).mean())


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("v.mp4", "libx264", {"x264-params": "tff=1"}),
     ("v.mpg", "mpeg2video", {"flags": "+ildct+ilme"})],
)  # fmt: skip
def test_interlaced_footage_is_deinterlaced_and_counted(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    fields = [square_frame(10 + 3 * i, 20, 32, width=160) for i in range(40)]
    frames = [even.copy() for even in fields[::2]]
    for frame, odd in zip(frames, fields[1::2], strict=True):
        frame[1::2] = odd[1::2]
    encode(tmp_path / name, frames, codec, **options)
    with open_source(source(tmp_path / name)) as footage:
        found = list(footage.frames())
    assert len(found) == 20
    assert footage.counts == {"deinterlaced frames": 20}
    smooth = combing(fields[16])
    assert combing(frames[8]) - smooth > 1.5
    assert max(combing(frame) for frame in found) - smooth < 0.5
    account = Account()
    list(cut(source(tmp_path / name), None, account=account))
    assert account.treated == {"deinterlaced frames": 20}


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile other.mp4\n",
             "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n"],
)  # fmt: skip
def test_a_playlist_does_not_open_other_files(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "other.mp4", moving_square(5))
    (tmp_path / "v.mp4").write_text(text)
    with pytest.raises(DecodeError, match="not a readable video"):
        read(tmp_path / "v.mp4")


def test_an_image_that_vanishes_while_its_folder_is_read(tmp_path: Path) -> None:
    write_images(tmp_path / "b", [f"{i}.png" for i in range(3)], moving_square(3))
    with open_source(source(tmp_path / "b")) as footage:
        frames = footage.frames()
        next(frames)
        (tmp_path / "b" / "1.png").unlink()
        with pytest.raises(DecodeError, match=r"a/b/1\.png: cannot be read \(No such file"):
            next(frames)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_files_without_permission(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(3))
    write_images(tmp_path / "b", ["1.png"], moving_square(1))
    for path in (tmp_path / "v.mp4", tmp_path / "b" / "1.png"):
        path.chmod(0)
    for path in (tmp_path / "v.mp4", tmp_path / "b"):
        with pytest.raises(DecodeError, match="Permission denied"):
            read(path)


def test_pipes_and_links_to_nowhere_do_not_hang(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.mp4")
    (tmp_path / "a" / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = find_sources(str(tmp_path))
    assert found
    for item in found:
        with pytest.raises(DecodeError), open_source(item):
            pass


@pytest.mark.parametrize(
    "name",
    ["x../v...mp4", "it's \"quoted\"/a b.mp4", "line\nbreak/tab\t.mp4", "🙂/👩‍👩.mp4",
     "a%2e%2e/~.mp4", "-rf/--help.mp4", "back\\slash/c:d.mp4",
     "x" * 120 + "/" + "é" * 100 + ".mp4"],
)  # fmt: skip
def test_names_reach_the_clips_as_they_are(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, moving_square(25))
    (found,) = find_sources(str(tmp_path))
    (clip,) = cut(found, bright_detector)
    assert (clip.clip_id, clip.identity) == (f"{name}#0@12", name.split("/")[0])
