"""Frames are written with the times at which they are shown."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datasets.video_writer import are_regular, video_file, write_video
from tests.support.films import numbered, numbers, read


def test_a_film_keeps_the_time_of_each_frame(tmp_path: Path) -> None:
    """A second at 30 frames/s, then one frame in each: ten seconds, not 1.3."""
    times = [100 + i / 30 for i in range(30)] + [float(100 + i) for i in range(1, 11)]
    assert not are_regular(times, Fraction(30)) and are_regular(times[:30], Fraction(30))
    path = tmp_path / "v.mp4"
    with video_file(path, Fraction(30), 10, metadata={"comment": "a film"}) as file:
        for frame, time in zip(numbered(40), times, strict=True):
            file.add(frame, time)
    assert file.count == 40
    frames, footage = read(path)
    assert numbers(frames) == list(range(40))
    np.testing.assert_allclose(footage.times, np.array(times) - 100, atol=1e-4)
    with av.open(str(path)) as film:
        assert film.metadata["comment"] == "a film"


def test_times_that_a_container_has_rounded_are_those_of_the_rate(tmp_path: Path) -> None:
    """The duration, too, is that of so many frames."""
    rate = Fraction(24000, 1001)
    with video_file(tmp_path / "v.mp4", rate, 10) as file:
        for i, frame in enumerate(numbered(40)):
            file.add(frame, 7 + round(1000 * i / rate) / 1000)
    with av.open(str(tmp_path / "v.mp4")) as film:
        stream = film.streams.video[0]
        assert stream.average_rate == rate and stream.duration is not None
        assert stream.duration * stream.time_base == 40 / rate
        shown = [frame.pts * frame.time_base for frame in film.decode(video=0)]
    assert shown == [i / rate for i in range(40)]


def test_frames_that_are_nearer_than_a_clock_can_tell_stay_in_order(tmp_path: Path) -> None:
    """The second is taken for one of the rate, the third comes before that."""
    times = [0, 0.0393, 0.0399, 0.0399, 0.08]
    with video_file(tmp_path / "v.mp4", Fraction(25), 10) as file:
        for frame, time in zip(numbered(5), times, strict=True):
            file.add(frame, time)
    frames, footage = read(tmp_path / "v.mp4")
    assert numbers(frames) == list(range(5))
    np.testing.assert_allclose(footage.times, times, atol=0.001)


def test_a_film_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    (frame,) = numbered(1)
    with pytest.raises(KeyError), video_file(tmp_path / "v.mp4", Fraction(25), 10) as file:
        file.add(frame)
        raise KeyError("its faces")
    with pytest.raises(ValueError, match="no frame"), video_file(tmp_path / "v", Fraction(25), 10):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25)])
def test_times_as_regular_as_a_container_can_tell_them_are_those_of_the_rate(
    rate: Fraction,
) -> None:
    """Matroska tells whole milliseconds; a frame that is missing is more."""
    times = [7 + round(1000 * i / rate) / 1000 for i in range(40_000)]
    assert are_regular(times, rate)
    del times[20]
    assert not are_regular(times, rate)


def test_without_times_the_rate_is_exact(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", numbered(40), Fraction(30000, 1001), 10)
    assert read(tmp_path / "v.mp4")[1].rate == Fraction(30000, 1001)
