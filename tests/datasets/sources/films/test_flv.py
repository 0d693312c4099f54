"""FLV that was cut off, whose metadata tell of sound and picture as one; and such as looks so."""

import struct
from itertools import pairwise
from pathlib import Path

import pytest

from datasets.sources.footage import DecodeError
from tests.datasets.sources.films.test_kinds import with_sound
from tests.datasets.sources.films.test_streams import noisy
from tests.support.films import film, numbers, read

CUT = "truncated or damaged"


def tags(data: bytes) -> list[int]:
    """Where tags begin, and where the last ends, each with its size behind it."""
    places = [13]
    while places[-1] < len(data):
        begin = places[-1]
        places.append(begin + 15 + int.from_bytes(data[begin + 1 : begin + 4], "big"))
    return places


def told(data: bytes, **numbers: float) -> bytes:
    """The file with other numbers in its metadata."""
    for key, number in numbers.items():
        place = data.index(key.encode()) + len(key) + 1
        data = data[:place] + struct.pack(">d", number) + data[place + 8 :]
    return data


@pytest.mark.parametrize("codec", ["flv", "libx264"])
@pytest.mark.parametrize("seconds", [2, 6])
def test_sound_may_be_longer_and_what_is_cut_off_is_refused(
    tmp_path: Path, codec: str, seconds: int
) -> None:
    """50 frames, 2 s. Cut within a tag of the picture or of the sound."""
    path = with_sound(tmp_path / "v.flv", noisy(50), seconds, codec=codec)
    assert numbers(read(path)[0]) == list(range(50))
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DecodeError, match=r"truncated|damaged"):
            read(path)
    frames, footage = read(path, "split")
    assert numbers(frames) == list(range(len(frames))) and len(frames) > 40
    assert footage.counts["ends that are lost"] == 1


@pytest.mark.parametrize("seconds", [4, 6])
def test_a_cut_between_two_tags_is_seen_by_the_time_of_the_last(
    tmp_path: Path, seconds: int
) -> None:
    path = with_sound(tmp_path / "v.flv", noisy(100), seconds)
    data = path.read_bytes()
    for end in [end for end in tags(data) if 0.3 * len(data) < end < 0.6 * len(data)][::4]:
        path.write_bytes(data[:end])
        with pytest.raises(DecodeError, match=rf"{CUT}: it ends at [12]\.\d s of the {seconds}"):
            read(path)


def test_without_its_size_the_length_tells(tmp_path: Path) -> None:
    """As some writers have it: whole with longer sound, cut between two tags and within one."""
    path = with_sound(tmp_path / "v.flv", noisy(100), 8)
    data = told(path.read_bytes(), filesize=0)
    path.write_bytes(data)
    assert numbers(read(path)[0]) == [i % 50 for i in range(100)]
    place = next(a for a, b in pairwise(tags(data)) if data[a] == 9 and a > len(data) // 4)
    for cut in (place, place + 9):
        path.write_bytes(data[:cut])
        with pytest.raises(DecodeError, match=rf"{CUT}: it ends at \d\.\d s of the 8"):
            read(path)


def test_live_recordings_promise_nothing(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "v.flv", noisy(100), 6)
    data = told(path.read_bytes(), filesize=0, duration=0)
    for end in [end for end in tags(data) if end > len(data) // 2][::20]:
        path.write_bytes(data[:end])
        assert len(read(path)[0]) > 50


def test_a_size_or_a_length_that_is_left_over_does_no_harm_alone(tmp_path: Path) -> None:
    """Of a longer film: its size where the length is right, its length where the size is; and
    bytes behind the end."""
    path = with_sound(tmp_path / "v.flv", noisy(50), 3)
    data = path.read_bytes()
    numbers_told: list[dict[str, float]] = [{"filesize": 1e6}, {"duration": 100}, {}]
    for behind, numbers_left in zip((b"", b"", bytes(999)), numbers_told, strict=True):
        path.write_bytes(told(data, **numbers_left) + behind)
        assert numbers(read(path)[0]) == list(range(50))


def test_numbers_that_are_none_promise_nothing(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "v.flv", noisy(50), 2)
    data = path.read_bytes()
    for number in (float("nan"), float("inf"), -1.0):
        path.write_bytes(told(data, filesize=number, duration=number))
        assert len(read(path)[0]) == 50


def test_a_picture_without_sound(tmp_path: Path) -> None:
    path = film(tmp_path / "v.flv", noisy(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 97 // 100])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)
