"""Which pictures of a file are the film, and those that begin in the middle of a stream."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datasets.sources.footage import DecodeError
from tests.support.films import add_stream, film, numbered, numbers, picture, read
from tests.support.media import Frame

PACKET = 188  # bytes of a transport stream's


def noisy(count: int) -> list[Frame]:
    """Frames that tell their numbers, with grain that moves: worth predicting from both sides."""
    grain = np.random.default_rng(0).integers(-10, 11, (64, 64 + 2 * count, 1))
    return [
        (frame + grain[:, 2 * i : 2 * i + 64]).astype(np.uint8)
        for i, frame in enumerate(numbered(count, width=64, height=64))
    ]


def open_groups(path: Path, codec: str = "libx264") -> Path:
    """50 frames, a key frame in ten, from which on others refer to what was before."""
    params = "open-gop=1:bframes=3:b-adapt=0:keyint=10:scenecut=0"
    if codec == "libx265":
        return film(path, noisy(50), codec, **{"x265-params": f"log-level=none:{params}"})
    if codec == "mpeg2video":
        return film(path, noisy(50), codec, g="10", bf="2", sc_threshold="1000000000")
    return film(path, noisy(50), codec, **{"x264-params": params}, crf="10")


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_a_stream_begun_anywhere_is_read_from_its_first_key_frame(
    tmp_path: Path, codec: str
) -> None:
    """Cut at every tenth packet of the transport stream: what follows the first key frame is read,
    every frame of it, as of the whole."""
    path = open_groups(tmp_path / "v.ts", codec)
    whole = numbers(read(path)[0])
    assert whole == list(range(50))
    data = path.read_bytes()
    tables = data[: 3 * PACKET]
    begun = set()
    for place in range(3 * PACKET, len(data) * 2 // 3, 10 * PACKET):
        path.write_bytes(tables + data[place:])
        frames, _ = read(path)
        begun.add(50 - len(frames))
        assert numbers(frames) == whole[-len(frames) :]
    assert len(begun) > 2 and max(begun) < 45


@pytest.mark.parametrize("name", ["v.ts", "v.mkv", "v.mp4"])
def test_a_piece_between_two_key_frames_is_read(tmp_path: Path, name: str) -> None:
    """As `-f segment` cuts them: from a key frame on, with those that are shown before it."""
    whole = open_groups(tmp_path / f"whole{Path(name).suffix}")
    with av.open(str(whole)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        begins = [i for i, packet in enumerate(packets) if packet.is_keyframe]
        piece = packets[begins[2] : begins[4]]
        with av.open(str(tmp_path / name), "w") as output:
            copy = output.add_stream_from_template(stream)
            for packet in piece:
                packet.stream = copy
                output.mux(packet)
    frames, footage = read(tmp_path / name)
    found = numbers(frames)
    assert found == list(range(found[0], found[0] + len(found)))
    assert {*range(20, 37)} <= set(found) <= {*range(17, 40)}
    assert footage.breaks == {}


def test_flipped_bits_behind_such_a_beginning_are_damage(tmp_path: Path) -> None:
    path = open_groups(tmp_path / "v.ts")
    data, refused = bytearray(path.read_bytes()), 0
    data = data[: 3 * PACKET] + data[40 * PACKET :]
    for seed in range(10):
        chance, broken = np.random.default_rng(seed), bytearray(data)
        for place in chance.integers(len(data) // 3, len(data), 3):
            broken[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(broken)
        try:
            read(path)
        except DecodeError:
            refused += 1
    assert refused >= 8


def many(path: Path, *streams: tuple[str, list[Frame], av.stream.Disposition | None]) -> None:
    """A file of several streams of pictures: of each the codec, its frames, its disposition."""
    with av.open(str(path), "w") as output:
        made = [
            add_stream(output, frames[0], codec, "yuvj420p" if codec == "mjpeg" else "yuv420p", {})
            for codec, frames, _ in streams
        ]
        for stream, (_, _, disposition) in zip(made, streams, strict=True):
            stream.disposition = disposition or av.stream.Disposition(0)
        for stream, (_, frames, _) in zip(made, streams, strict=True):
            for number, frame in enumerate(frames):
                shown = picture(frame, stream.pix_fmt or "")
                shown.pts, shown.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(shown))
            output.mux(stream.encode())


def test_a_cover_is_not_the_film(tmp_path: Path) -> None:
    cover = "mjpeg", numbered(1, 40, 96, 96), av.stream.Disposition.attached_pic
    many(tmp_path / "v.mp4", cover, ("libx264", numbered(20), None))
    frames, _ = read(tmp_path / "v.mp4")
    assert numbers(frames) == list(range(20))
    many(tmp_path / "w.mp4", cover)
    with pytest.raises(DecodeError, match="has no video stream"):
        read(tmp_path / "w.mp4")


def test_of_several_pictures_the_default_one_is_the_film_then_the_largest(tmp_path: Path) -> None:
    small, large = numbered(10, 0), numbered(10, 20, 96, 64)
    default = av.stream.Disposition.default
    many(tmp_path / "v.ts", ("libx264", small, None), ("libx264", large, None))
    assert numbers(read(tmp_path / "v.ts")[0]) == list(range(20, 30))
    many(tmp_path / "v.mkv", ("libx264", large, None), ("libx264", small, default))
    assert numbers(read(tmp_path / "v.mkv")[0]) == list(range(10))
