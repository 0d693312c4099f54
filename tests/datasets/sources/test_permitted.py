"""Only what is named is decoded: codecs, and nothing outside of the file that is read."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets.sources import video
from datasets.sources.footage import DecodeError
from tests.datasets.sources.test_hostile import encode, read
from tests.support.media import moving_square, write_video


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("v.avi", "cinepak", "rgb24"), ("v.flv", "flashsv", "bgr24"), ("v.mov", "cfhd", "gbrp12le"),
     ("v.avi", "zmbv", "bgr0")],
)  # fmt: skip
def test_a_codec_that_is_not_named_is_refused_with_the_remedy(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    encode(tmp_path / name, moving_square(3), codec, pixels)
    said = rf"a/{name}: its codec is not decoded here: {codec}; transcode it: ffmpeg -i"
    with pytest.raises(DecodeError, match=said) as refused:
        read(tmp_path / name)
    assert refused.value.kind == "its codec is not decoded here"


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("v.mp4", "libx265", "yuv420p"), ("v.mp4", "libsvtav1", "yuv420p"),
     ("v.mkv", "libvpx", "yuv420p"), ("v.avi", "mjpeg", "yuvj420p"), ("v.flv", "flv", "yuv420p"),
     ("v.avi", "msmpeg4", "yuv420p"), ("v.wmv", "wmv1", "yuv420p"), ("v.avi", "huffyuv", "yuv422p"),
     ("v.mov", "prores_ks", "yuv422p10le"), ("v.avi", "rawvideo", "yuv420p")],
)  # fmt: skip
def test_what_cameras_and_editors_write_is_decoded(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    encode(tmp_path / name, moving_square(3), codec, pixels, **options)
    assert len(read(tmp_path / name)) == 3


def test_no_container_opens_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that could: the list of containers is not all that stands in its way."""
    write_video(tmp_path / "other.mp4", moving_square(5))
    (tmp_path / "v.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    monkeypatch.setattr(video, "FORMATS", video.FORMATS + ",concat")
    with pytest.raises(DecodeError, match="not a readable video"):
        read(tmp_path / "v.mp4")


@pytest.mark.parametrize("made", ["TIFF", "GIF", "AVIF", "JPEG2000", "EPS", "TGA", "PSD", "FLI"])
def test_an_image_of_another_format_is_refused_whatever_its_name(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV alone would read the first four, and Pillow's readers of all had opened the file."""
    data = io.BytesIO()
    if made in ("PSD", "FLI"):  # Pillow only reads these: headers of 40×30 pixels
        head = {"PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\36\0\0\0\50\0\10\0\3",
                "FLI": bytes(4) + b"\x11\xaf\1\0\50\0\36\0\10\0\3\0"}[made]  # fmt: skip
        data.write(head + bytes(200))
    else:
        Image.fromarray(moving_square(1)[0]).save(data, made)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(data.getvalue())

    def never(*_: object) -> NDArray[np.uint8]:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(
        DecodeError, match=r"a/b/1\.png: not a readable image \(no JPEG, PNG, WebP, .*; convert it"
    ):
        read(tmp_path / "b")
