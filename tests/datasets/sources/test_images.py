"""Images of every make: which are refused as damaged, and what pixels the others give."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.sources.discovery import find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from tests.datasets.sources.test_hostile import noisy, read
from tests.support.media import Frame

END = b"\xff\xd9"


def jpeg(mode: str = "RGB", file_format: str = "JPEG", **options: int) -> bytes:
    picture = Image.fromarray(noisy(1)[0]).convert(mode)
    data = io.BytesIO()
    picture.save(data, file_format, **options)
    return data.getvalue()


def read_image(folder: Path, data: bytes, name: str = "1.jpg") -> Frame:
    (folder / "b").mkdir(exist_ok=True)
    (folder / "b" / name).write_bytes(data)
    (frame,) = read(folder / "b")
    return frame


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": 1}, {"restart_marker_blocks": 8}])
def test_half_a_jpeg_is_damage(tmp_path: Path, mode: str, options: dict[str, int]) -> None:
    data = jpeg(mode, **options)
    half = data[: len(data) // 2]
    assert read_image(tmp_path, data).shape == (72, 96, 3)
    for broken in (half, half + bytes(len(half)), half + END):
        with pytest.raises(DecodeError, match=r"a/b/1\.jpg: (damaged \(|not a readable image)"):
            read_image(tmp_path, broken)


def test_flipped_bits_in_a_jpeg_are_damage_where_its_decoder_can_tell(tmp_path: Path) -> None:
    """Three bits flipped at random, thirty times: refused, but where as many blocks come out as
    there should, wrong as they may be."""
    data, refused = jpeg(), 0
    for seed in range(30):
        chance, broken = np.random.default_rng(seed), bytearray(data)
        for place in chance.integers(len(data) // 4, len(data) - 2, 3):
            broken[place] ^= 1 << int(chance.integers(8))
        try:
            read_image(tmp_path, bytes(broken))
        except DecodeError as error:
            refused += "a/b/1.jpg: damaged (" in str(error)
    assert refused >= 8


def test_sound_jpegs_of_unusual_make_are_read(tmp_path: Path) -> None:
    """Data behind the end, as telephones add; several pictures; inks with Adobe's transform 2."""
    inks = bytearray(jpeg("CMYK"))
    inks[inks.index(b"Adobe") + 11] = 2
    odd = bytearray(jpeg())
    odd[odd.index(b"JFIF") + 5] = 7  # an unknown version of the header: libjpeg warns of it too
    for data in (jpeg() + b"SEFT" * 99, jpeg() + bytes(99), jpeg(file_format="MPO"), inks, odd):
        assert read_image(tmp_path, bytes(data)).shape == (72, 96, 3)
    np.testing.assert_array_equal(read_image(tmp_path, jpeg() + bytes(99)), _cv2_pixels(jpeg()))


def _cv2_pixels(data: bytes) -> Frame:
    import cv2

    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
@pytest.mark.parametrize("largest", [1, 15, 100, 255, 256, 1023, 4095, 65535])
def test_grey_and_colour_maps_of_any_depth(tmp_path: Path, kind: str, largest: int) -> None:
    """Their 8-bit pixels are 255·v / largest."""
    bands = 3 if kind in ("P3", "P6") else 1
    values = np.random.default_rng(0).integers(0, largest + 1, (5, 7, bands))
    values[0, :2] = [[0], [largest]]
    if kind in ("P2", "P3"):
        body = " ".join(map(str, values.ravel())).encode()
    else:
        body = values.astype(">u2" if largest > 255 else "u1").tobytes()
    frame = read_image(tmp_path, f"{kind}\n# ours\n7 5\n{largest}\n".encode() + body, "1.pgm")
    wanted = np.repeat(np.rint(255 * values / largest), 3 // bands, 2)
    assert frame.dtype == np.uint8 and frame.shape == (5, 7, 3)
    assert (frame[0, :2] == [[0], [255]]).all()
    assert np.abs(frame - wanted).max() <= 1


def test_bit_maps(tmp_path: Path) -> None:
    for data in (b"P1\n3 2\n0 1 0\n1 1 0\n", b"P4\n3 2\n\x40\xc0"):
        frame = read_image(tmp_path, data, "1.pgm")
        assert frame[..., 1].tolist() == [[255, 0, 255], [0, 0, 255]]


@pytest.mark.parametrize(
    "data", [b"P5\n9 9\n0\n", b"P5\nx 9\n255\n", b"P5\n9 9\n255\nabc", b"P2\n2 2\n15\n1 2 3"]
)
def test_damaged_grey_maps_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"a/b/1\.pgm: not a readable image"):
        read_image(tmp_path, data, "1.pgm")


@pytest.mark.skipif("FACESTACK_FACES" not in os.environ, reason="needs FACESTACK_FACES")
def test_sound_photographs_are_not_refused() -> None:
    found = find_sources(os.path.join(os.environ["FACESTACK_FACES"], "lfw-deepfunneled"), "lfw")
    for source in found[::50]:
        with open_source(source) as footage:
            assert len(list(footage.frames())) == 1
