"""Which frames a film shows, and when: edits, pauses, clocks that jump, what is not there."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from datasets.sources.footage import DecodeError
from tests.support.films import film, numbered, numbers, read, set_edit

SECOND = Fraction(1)


def test_an_edit_list_hides_frames_that_are_not_missing(tmp_path: Path) -> None:
    """49 frames of one key frame, cut without loss to those from 30 on: 0.4 s are shown."""
    path = film(tmp_path / "v.mp4", numbered(49), crf="5", g="250")
    set_edit(path, 1.2, 0.4)
    frames, footage = read(path)
    assert numbers(frames) == list(range(30, 40))
    np.testing.assert_allclose(footage.times, np.arange(10) / 25)


@pytest.mark.parametrize("b_frames", ["0", "3"])
@pytest.mark.parametrize(
    ("begin", "seconds"), [(0, 0.04), (0.2, 0.44), (0.24, 0.48), (0.62, 0.41), (1.22, 0.52)]
)
def test_an_edit_shows_frames_from_its_beginning_to_before_its_end(
    tmp_path: Path, b_frames: str, begin: float, seconds: float
) -> None:
    """Those whose time is in [begin, begin + seconds), wherever it cuts their coded order."""
    path = film(tmp_path / "v.mp4", numbered(49), crf="5", g="250", bf=b_frames)
    set_edit(path, begin, seconds)
    frames, footage = read(path)
    shown = [i for i in range(49) if begin <= i / 25 < begin + seconds]
    assert numbers(frames) == shown
    np.testing.assert_allclose(footage.times, np.arange(len(shown)) / 25)


def test_a_cut_film_that_is_truncated_is_refused(tmp_path: Path) -> None:
    path = film(
        tmp_path / "v.mp4", numbered(49), crf="5", g="250", container={"movflags": "faststart"}
    )
    set_edit(path, 0.4, 1.5)
    assert numbers(read(path)[0]) == list(range(10, 48))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm"])
def test_frames_keep_their_times_and_a_pause_is_a_break(tmp_path: Path, name: str) -> None:
    """30 frames in the first second, then one in each, then ten minutes of nothing."""
    times = [i * SECOND / 30 for i in range(30)]
    times += [SECOND * i for i in range(1, 40)]
    times += [640 + i * SECOND / 30 for i in range(5)]
    codec = "libvpx" if name == "v.webm" else "libx264"
    path = film(
        tmp_path / name, numbered(len(times)), codec, times=times, rate=30, deadline="realtime"
    )
    frames, footage = read(path)
    assert len(frames) == len(times)
    np.testing.assert_allclose(footage.times, [float(t) for t in times], atol=0.0011)
    assert abs(footage.rate - 30) < 0.5
    # Frames a second apart become the usual ones when most of the last 25 were.
    assert footage.breaks == dict.fromkeys([*range(31, 44), 69], "pause")


def test_what_varies_a_little_is_no_pause(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(9, 60, 60)  # 15 to 100 ms
    times = [Fraction(int(t), 600) for t in np.cumsum(steps)]
    _, footage = read(film(tmp_path / "v.mp4", numbered(60), times=times))
    np.testing.assert_allclose(footage.times, [float(t - times[0]) for t in times], atol=1e-4)
    assert footage.breaks == {}


def test_frames_that_were_dropped_or_come_late_are_not_missing(tmp_path: Path) -> None:
    """AVI numbers its frames: every twentieth is not there; or the first 75."""
    kept = [i for i in range(200) if i % 20 != 9]
    path = film(
        tmp_path / "v.avi", numbered(190), "mpeg4",
        times=[Fraction(i, 25) for i in kept], adjust=lambda s: _set_base(s, 25),
    )  # fmt: skip
    frames, footage = read(path)
    assert len(frames) == 190
    np.testing.assert_allclose(footage.times, [i / 25 for i in kept])
    late = film(
        tmp_path / "w.avi", numbered(50), "mpeg4",
        times=[Fraction(i, 25) for i in (0, *range(75, 124))], adjust=lambda s: _set_base(s, 25),
    )  # fmt: skip
    frames, footage = read(late)
    assert numbers(frames) == list(range(50))
    assert footage.breaks == {1: "pause"}


def _set_base(stream: object, rate: int) -> None:
    stream.codec_context.time_base = Fraction(1, rate)  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_joined_streams_are_read_through_where_their_clock_jumps(
    tmp_path: Path, order: str
) -> None:
    a = film(tmp_path / "a.ts", numbered(25))
    b = film(tmp_path / "b.ts", numbered(25, 25), container={"output_ts_offset": "50000"})
    parts = {"ab": (a, b), "ba": (b, a)}[order]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, footage = read(path, max_seconds=2)
    expected = list(range(50))
    assert numbers(frames) == (expected if order == "ab" else expected[25:] + expected[:25])
    assert footage.breaks == {25: "clock"}
    np.testing.assert_allclose(footage.times, np.arange(50) / 25, atol=1e-4)
    with pytest.raises(DecodeError, match="longer than 1 s"):
        read(path, max_seconds=1)


def test_a_clock_that_counts_from_1970(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mkv", numbered(50), container={"output_ts_offset": "1700000000"})
    frames, footage = read(path, max_seconds=10)
    assert numbers(frames) == list(range(50))
    np.testing.assert_allclose(footage.times, np.arange(50) / 25, atol=0.0011)
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes()) // 3])
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)
