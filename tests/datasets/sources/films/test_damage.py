"""A film may be split where it is damaged: what is broken is left out, the rest is told apart."""

from pathlib import Path

import av
import numpy as np
import pytest

from datasets.sources.footage import DecodeError
from tests.datasets.sources.films.test_streams import noisy
from tests.support.films import film, numbers, read


def broken(path: Path, *which: int) -> Path:
    """Flips bits in the middle of some packets."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for number in which:
        position, size = packets[number]
        for place in range(position + size // 2, position + size // 2 + 4):
            data[place] ^= 0x55
    path.write_bytes(data)
    return path


def test_every_frame_but_the_broken_ones_is_read(tmp_path: Path) -> None:
    """All are key frames."""
    path = broken(film(tmp_path / "v.mp4", noisy(40), g="1", crf="10"), 10, 20, 21)
    with pytest.raises(DecodeError, match=r"damaged after frame 10: .* by the decoder: 3;"):
        read(path)
    frames, footage = read(path, "split")
    left = [i for i in range(40) if i not in (10, 20, 21)]
    assert numbers(frames) == left
    assert footage.breaks == {10: "damage", 19: "damage"}
    assert footage.counts == {"damaged frames": 3}
    np.testing.assert_allclose(footage.times, np.array(left) / 25)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "v.mp4"), ("mpeg4", "v.avi")])
def test_what_refers_to_a_broken_frame_is_left_out_too(
    tmp_path: Path, codec: str, name: str
) -> None:
    """A key frame in ten; the frames from the broken one to the next of them are wrong, though the
    decoder of MPEG-4 says nothing of them."""
    no_more = {"libx264": "0", "mpeg4": "1000000000"}[codec]
    path = film(tmp_path / name, noisy(50), codec, g="10", bf="0", sc_threshold=no_more)
    frames, footage = read(broken(path, 23), "split")
    assert numbers(frames) == [*range(23), *range(30, 50)]
    assert footage.breaks == {23: "damage"}
    assert footage.counts == {"damaged frames": 7}
    assert footage.times[23] == pytest.approx(30 / 25)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("v.mp4", "libx264", {"movflags": "faststart"}), ("v.mkv", "mpeg4", {}),
     ("v.avi", "mpeg4", {})],
)  # fmt: skip
def test_what_is_there_of_a_truncated_film_is_read(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = film(tmp_path / name, noisy(50), codec, container=options, g="10", bf="0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)
    frames, footage = read(path, "split")
    assert 20 <= len(frames) < 40
    assert numbers(frames) == list(range(len(frames)))
    assert footage.counts["ends that are lost"] == 1


def test_a_film_of_which_nothing_is_sound_is_an_error(tmp_path: Path) -> None:
    path = broken(film(tmp_path / "v.mp4", noisy(5), g="5", bf="0", crf="10", sc_threshold="0"), 0)
    with pytest.raises(DecodeError, match="no frame could be decoded"):
        read(path, "split")
