import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datasets.sources.discovery import Source, find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from infra.extraction import Limits
from tests.support.media import moving_square, square_frame, write_images, write_video


def source(path: Path, kind: str = "video") -> Source:
    return Source(f"file://{path}", f"a/{path.name}", "a", kind)  # type: ignore[arg-type]


def read(path: Path, kind: str = "video", **limits: int) -> list[np.ndarray]:
    with open_source(source(path, kind), Limits(**limits)) as footage:
        return list(footage.frames())


@pytest.mark.parametrize(
    ("extension", "codec"),
    [("mp4", "h264"), ("avi", "mpeg4"), ("mov", "mpeg4"), ("mkv", "mpeg4"), ("mpg", "mpeg1video"),
     ("wmv", "wmv2"), ("webm", "libvpx"), ("m4v", "h264"), ("ts", "h264"), ("mts", "mpeg2video"),
     ("m2ts", "h264"), ("flv", "flv"), ("3gp", "h264"), ("ogv", "libvpx")],
)  # fmt: skip
def test_every_container_gives_its_frames_rate_and_size(
    tmp_path: Path, extension: str, codec: str
) -> None:
    frames = moving_square(12)
    write_video(tmp_path / f"v.{extension}", frames, Fraction(25), codec)
    (found,) = find_sources(str(tmp_path))
    with open_source(found) as footage:
        assert (footage.width, footage.height) == (96, 72)
        assert footage.rate == Fraction(25)
        decoded = list(footage.frames())
    assert len(decoded) == 12
    assert decoded[0].dtype == np.uint8
    for frame, original in zip(decoded, frames, strict=True):
        assert np.abs(frame.astype(int) - original).mean() < 8  # RGB order, upright, in order


def test_frames_are_streamed(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(40))
    with open_source(source(tmp_path / "v.mp4")) as footage:
        frames = footage.frames()
        assert next(frames).shape == (72, 96, 3)


def test_a_name_with_spaces_and_accents(tmp_path: Path) -> None:
    write_video(tmp_path / "Žofia Ünal" / "clip 1.mp4", moving_square(3))
    assert len(read(tmp_path / "Žofia Ünal" / "clip 1.mp4")) == 3


def test_one_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(1))
    assert len(read(tmp_path / "v.mp4")) == 1


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    with pytest.raises(DecodeError, match=r"a/v\.mp4: the file is empty"):
        read(tmp_path / "v.mp4")


def test_text_renamed_to_mp4(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("this is no video\n" * 100)
    with pytest.raises(DecodeError, match=r"a/v\.mp4: not a readable video"):
        read(tmp_path / "v.mp4")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"a/v\.mp4: not a readable video"):
        read(tmp_path / "v.mp4")


def test_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DecodeError, match="has no video stream"):
        read(tmp_path / "v.mkv")


def test_flipped_bytes_are_not_passed_on_as_a_picture(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(60), codec="h264")
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 400)
    data[middle] = np.random.default_rng(0).bytes(400)
    (tmp_path / "v.mp4").write_bytes(data)
    with pytest.raises(DecodeError, match=r"a/v\.mp4: (damaged|truncated)"):
        read(tmp_path / "v.mp4")


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)]
)
def test_footage_of_a_turned_telephone_is_upright(
    tmp_path: Path, matrix: tuple[int, ...], turns: int
) -> None:
    """The matrix (a, b, c, d) of the track header maps (x, y) to (ax + cy, bx + dy), y down: the
    first turns the picture clockwise by 90°, which NumPy calls −1 turn."""
    write_video(tmp_path / "v.mp4", moving_square(3))
    plain = read(tmp_path / "v.mp4")
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version and flags, times, layer, volume come before
    a, b, c, d = (number * 65536 for number in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "v.mp4").write_bytes(data)
    with open_source(source(tmp_path / "v.mp4")) as footage:
        turned = list(footage.frames())
        assert turned[0].shape[:2] == (footage.height, footage.width)
    np.testing.assert_array_equal(turned[0], np.rot90(plain[0], turns))


def test_too_large_a_frame_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(3))
    with pytest.raises(DecodeError, match="more than 6000 pixels"):
        read(tmp_path / "v.mp4", max_pixels=6000)


def test_images_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frames = moving_square(11, 2)
    write_images(tmp_path / "b", [f"img{i + 1}.png" for i in range(11)], frames)
    (tmp_path / "b" / "labels.txt").write_text("no image")
    np.testing.assert_array_equal(read(tmp_path / "b", "images"), frames)


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "webp", "pgm"])
def test_every_image_format(tmp_path: Path, extension: str) -> None:
    write_images(tmp_path / "b", [f"1.{extension}"], [square_frame(10, 20, 32)])
    (frame,) = read(tmp_path / "b", "images")
    assert frame.shape == (72, 96, 3)


def test_images_of_differing_sizes_name_the_first_that_differs(tmp_path: Path) -> None:
    frames = [square_frame(10, 20, 20), square_frame(10, 20, 20, width=90)]
    write_images(tmp_path / "b", ["1.png", "2.png"], frames)
    with pytest.raises(DecodeError, match=r"a/b: 2\.png is 90×72, but 1\.png is 96×72"):
        read(tmp_path / "b", "images")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "b", ["1.png"], [square_frame(10, 20, 20)])
    (tmp_path / "b" / "2.png").write_text("no image")
    with pytest.raises(DecodeError, match=r"a/b/2\.png: not a readable image"):
        read(tmp_path / "b", "images")


@pytest.mark.skipif("FACESTACK_FACES" not in os.environ, reason="needs FACESTACK_FACES")
def test_real_videos_give_the_frames_that_were_counted() -> None:
    """One small clip of each container; wmv may hold fewer frames than its rate suggests."""
    import csv

    folder = Path(os.environ["FACESTACK_FACES"])
    with open(folder / "videos.csv") as file:
        counted = {row["path"]: int(row["frames"]) for row in csv.DictReader(file)}
    for found in find_sources(str(folder / "videos")):
        if counted[found.name] <= 90 or found.name.endswith(".mov"):
            with open_source(found) as footage:
                frames = sum(1 for _ in footage.frames())
            assert frames == counted[found.name] or (
                found.name == "id005/clip_02.wmv" and frames == 88
            )
