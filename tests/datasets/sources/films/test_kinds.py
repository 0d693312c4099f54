"""Kinds of files: endings that players know, sound beside the picture, what is encrypted."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from fsspec.spec import AbstractBufferedFile
from PIL import Image

from datasets.sources.discovery import find_sources
from datasets.sources.footage import DecodeError
from infra import storage
from tests.datasets.sources.films.test_streams import noisy
from tests.support.films import add_stream, film, numbered, numbers, picture, read
from tests.support.media import Frame


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [("v.vob", "mpeg2video", None), ("v.asf", "wmv2", None), ("v.f4v", "libx264", None),
     ("v.3g2", "libx264", None), ("v.divx", "mpeg4", "avi")],
)  # fmt: skip
def test_endings_that_players_know(tmp_path: Path, name: str, codec: str, kind: str | None) -> None:
    made = film(tmp_path / f"v.{kind}" if kind else tmp_path / name, numbered(20), codec)
    made.rename(tmp_path / name)
    (found,) = find_sources(str(tmp_path))
    assert (found.name, found.kind) == (name, "video")
    assert numbers(read(tmp_path / name)[0]) == list(range(20))


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [("v.dv", "dvvideo", "yuv420p", (720, 576)),
     ("v.mxf", "mpeg2video", "yuv422p", (1920, 1080))],
)  # fmt: skip
def test_tapes_and_what_editors_write(
    tmp_path: Path, name: str, codec: str, pixels: str, size: tuple[int, int]
) -> None:
    path = film(tmp_path / name, numbered(3, 0, *size), codec, pixels)
    (found,) = find_sources(str(tmp_path))
    assert found.kind == "video"
    frames, footage = read(path)
    assert numbers(frames) == [0, 1, 2]
    assert footage.rate == 25


def test_a_gif_is_a_film_with_its_delays_on_white(tmp_path: Path) -> None:
    delays = [100, 300, 50, 20, 100]  # ms
    frames = [Image.fromarray(frame).convert("P") for frame in numbered(5)]
    frames[0].save(
        tmp_path / "v.gif", save_all=True, append_images=frames[1:], duration=delays, disposal=2
    )
    (found,) = find_sources(str(tmp_path))
    assert found.kind == "video"
    shown, footage = read(tmp_path / "v.gif")
    assert numbers(shown) == list(range(5))
    np.testing.assert_allclose(footage.times, np.cumsum([0, *delays[:-1]]) / 1000)
    clear = Image.new("P", (48, 32), 0)
    clear.putpalette([10, 20, 30, 200, 100, 50])
    clear.paste(1, (0, 0, 10, 10))
    clear.save(tmp_path / "w.gif", transparency=0)
    (one,), _ = read(tmp_path / "w.gif")
    assert one[5, 5].tolist() == [200, 100, 50] and one[20, 20].tolist() == [255, 255, 255]


def with_sound(
    path: Path, frames: list[Frame], seconds: int, begin: int = 0, codec: str = "libx264"
) -> Path:
    """A film with so many seconds of sound, which begins at `begin` [s]."""
    codec = {".wmv": "wmv2"}.get(path.suffix, codec)
    rate = 44100 if path.suffix == ".flv" else 16000  # which knows only some
    with av.open(str(path), "w") as output:
        video = add_stream(output, frames[0], codec, "yuv420p", {})
        sound = output.add_stream("libmp3lame", rate=rate)
        packets = []
        for number, frame in enumerate(frames):
            shown = picture(frame, "yuv420p")
            shown.pts, shown.time_base = number, Fraction(1, 25)
            packets += video.encode(shown)
        packets += video.encode()
        for second in range(seconds):
            noise = np.random.default_rng(second).normal(0, 0.3, (1, rate)).astype(np.float32)
            piece = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            piece.sample_rate, piece.pts = rate, rate * (begin + second)
            packets += sound.encode(piece)
        packets += sound.encode()
        output.mux(packets)
    return path


def test_sound_may_be_longer_than_the_picture(tmp_path: Path) -> None:
    """WMV tells one length, of its sound; a file that is cut off has less of that, too."""
    path = with_sound(tmp_path / "v.wmv", numbered(50), 6)
    assert numbers(read(path)[0]) == list(range(50))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)
    path = with_sound(tmp_path / "v.mp4", numbered(50), 6)
    assert numbers(read(path)[0]) == list(range(50))


class Counted(AbstractBufferedFile):
    """A file as of object storage, read by blocks ahead, that counts what is asked for."""

    asked = 0

    def _fetch_range(self, start: int, end: int) -> bytes:
        Counted.asked += end - start
        return Path(self.path).read_bytes()[start:end]


def test_sound_that_lies_apart_from_the_picture_is_not_fetched_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the picture, then all of the sound: of an edit that lets it begin late, the delay is
    taken away. FFmpeg looks into 5 MB on opening, here all of it; then the picture is read once.
    With one block, read ahead, it is 39 times the file."""
    path = with_sound(tmp_path / "v.mp4", noisy(200), 8, begin=100)
    data = bytearray(path.read_bytes())
    delay = data.rindex(b"elst") + 12
    data[delay : delay + 4] = bytes(4)
    path.write_bytes(data)
    whole, block = path.stat().st_size, 16384
    monkeypatch.setattr(storage, "BLOCK", block)

    def opened(path: str, mode: str, **options: Any) -> Counted:
        return Counted(None, path, mode, size=whole, **options)

    fake = SimpleNamespace(protocol=("s3", "s3a"), open=opened)
    monkeypatch.setattr(storage, "file_system", lambda _: (fake, str(path)))
    with av.open(str(path)) as container:
        order = [packet.stream.type for packet in container.demux() if packet.pos]
    assert sum(a != b for a, b in pairwise(order)) > 10  # by their times
    assert len(read(path)[0]) == 200
    assert Counted.asked < 2.5 * whole


def test_an_encrypted_picture_is_said_to_be_so(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16,
           "encryption_kid": "a7" * 16}  # fmt: skip
    path = film(tmp_path / "v.mp4", numbered(10), container=key)
    with pytest.raises(DecodeError, match=r"a/v\.mp4: its picture is encrypted") as refused:
        read(path)
    assert refused.value.kind == "its picture is encrypted"
