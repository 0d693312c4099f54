"""Animated WebP is a film: its frames on white, their times, its bounds, and where it breaks."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.sources.discovery import find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from tests.datasets.sources.films.test_streams import noisy
from tests.support.films import film, numbers, read


def animation(
    path: Path, frames: Sequence[np.ndarray], stays: int | list[int] = 40, **options: int
) -> Path:
    """A film without loss whose frames stay for so many ms."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(
        path, save_all=True, append_images=others, duration=stays, lossless=True, **options
    )  # fmt: skip
    return path


def frame_chunks(path: Path) -> list[tuple[int, int]]:
    """Where the chunks of frames begin and end, in bytes."""
    data, place, found = path.read_bytes(), 12, []
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"ANMF":
            found.append((place, end))
        place = end + end % 2
    return found


def test_frames_are_as_they_were_with_their_times(tmp_path: Path) -> None:
    stays, frames = [100, 300, 50, 20, 100], noisy(5)
    animation(tmp_path / "v.webp", frames, stays)
    (found,) = find_sources(str(tmp_path))
    assert (found.name, found.kind) == ("v.webp", "video")
    shown, footage = read(tmp_path / "v.webp")
    np.testing.assert_array_equal(shown, frames)
    np.testing.assert_allclose(footage.times, np.cumsum([0, *stays[:-1]]) / 1000)
    assert (footage.width, footage.height, footage.breaks, footage.counts) == (64, 64, {}, {})


def test_the_rate_is_that_of_the_usual_step_and_a_pause_is_a_break(tmp_path: Path) -> None:
    """40 frames of 33 ms, one that stays for 5 s: the mean is of 6.4 frames/s."""
    stays = [33] * 40
    stays[20] = 5000
    _, footage = read(animation(tmp_path / "v.webp", noisy(40), stays))
    assert abs(footage.rate - Fraction(1000, 33)) < 0.1 and footage.breaks == {21: "pause"}
    _, footage = read(animation(tmp_path / "v.webp", noisy(20), 40))
    assert footage.rate == 25 and footage.breaks == {}


def test_frames_that_stay_for_no_time_stay_for_a_tenth_of_a_second(tmp_path: Path) -> None:
    _, footage = read(animation(tmp_path / "v.webp", noisy(4), [0, 10, 11, 0]))
    np.testing.assert_allclose(footage.times, [0, 0.1, 0.2, 0.211])


def test_what_is_clear_is_white_and_pieces_lie_on_what_was_there(tmp_path: Path) -> None:
    frames = np.zeros((3, 32, 48, 4), np.uint8)
    frames[:, :16] = 200, 100, 50, 255
    for number in range(3):
        frames[number, 20:24, 4 + 8 * number : 8 + 8 * number] = 0, 0, 0, 51  # a fifth
    shown, _ = read(animation(tmp_path / "v.webp", frames, minimize_size=True))
    assert len(shown) == 3
    for number, frame in enumerate(shown):
        expected = np.full((32, 48, 3), 255)
        expected[:16] = 200, 100, 50
        expected[20:24, 4 + 8 * number : 8 + 8 * number] = 204
        np.testing.assert_array_equal(frame, expected)


def test_frames_with_loss_as_ffmpeg_writes_them(tmp_path: Path) -> None:
    path = film(tmp_path / "v.webp", noisy(20), "libwebp_anim", loop="0")
    shown, footage = read(path)
    assert numbers(shown) == list(range(20))
    np.testing.assert_allclose(footage.times, np.arange(20) / 25)


def test_it_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    animation(tmp_path / "v.webp", noisy(3)).rename(tmp_path / "v.gif")
    assert numbers(read(tmp_path / "v.gif")[0]) == [0, 1, 2]


def test_a_still_is_an_image(tmp_path: Path) -> None:
    """With loss, without, and with an extended header: this one has alpha."""
    clear = Image.fromarray(np.dstack([noisy(1)[0], np.full((64, 64), 9, np.uint8)]), "RGBA")
    Image.fromarray(noisy(1)[0]).save(tmp_path / "1.webp")
    Image.fromarray(noisy(1)[0]).save(tmp_path / "2.webp", lossless=True)
    clear.save(tmp_path / "3.webp")
    assert (tmp_path / "3.webp").read_bytes()[12:16] == b"VP8X"
    (found,) = find_sources(str(tmp_path))
    assert (found.name, found.kind) == (tmp_path.name, "images")
    with open_source(found) as footage:
        assert len(list(footage.frames())) == 3


def test_it_is_a_film_beside_stills_and_an_image_where_images_are_asked_for(
    tmp_path: Path,
) -> None:
    animation(tmp_path / "ann.webp", noisy(3))
    Image.fromarray(noisy(1)[0]).save(tmp_path / "still.webp")

    def kinds(layout: str) -> list[tuple[str, str]]:
        return [(source.name, source.kind) for source in find_sources(str(tmp_path), layout)]

    assert kinds("auto") == kinds("videos") == [("ann.webp", "video")]
    assert kinds("frames") == [(tmp_path.name, "images")]
    assert kinds("lfw") == [("ann.webp", "image"), ("still.webp", "image")]


def test_as_many_as_a_film_has_frames_are_not_looked_into(tmp_path: Path) -> None:
    for number in range(9):
        animation(tmp_path / f"{number}.webp", noisy(2))
    assert {source.kind for source in find_sources(str(tmp_path))} == {"video"}
    animation(tmp_path / "9.webp", noisy(2))
    assert {source.kind for source in find_sources(str(tmp_path))} == {"images"}


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"max_pixels": 4095}, "a frame of 64×64 is more than 4095 pixels"),
     ({"max_seconds": 1}, "plays for 2 s or more, longer than 1 s"),
     ({"time_limit": 0}, "took longer than 0 s")],
)  # fmt: skip
def test_it_keeps_to_the_limits(tmp_path: Path, limits: dict[str, float], said: str) -> None:
    path = animation(tmp_path / "v.webp", noisy(50))
    with pytest.raises(DecodeError, match=said):
        read(path, **limits)


def test_what_takes_too_much_memory_is_said_to_do_so(tmp_path: Path) -> None:
    large = [np.full((2000, 3000, 3), level, np.uint8) for level in (9, 99)]
    path = animation(tmp_path / "v.webp", large)
    with pytest.raises(DecodeError, match="takes more than 50 MB of memory"):
        read(path, max_memory=50)


def test_its_size_is_judged_before_the_rest_is_read(tmp_path: Path) -> None:
    """A picture of 16384×16384 by a header that nothing follows."""
    side = (1 << 14) - 1
    head = b"RIFF" + bytes(4) + b"WEBPVP8X\x0a\0\0\0\2\0\0\0" + side.to_bytes(3, "little") * 2
    (tmp_path / "v.webp").write_bytes(head)
    with pytest.raises(DecodeError, match="16384×16384 is more than"):
        read(tmp_path / "v.webp")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_one_is_refused_or_read_as_far_as_it_goes(tmp_path: Path, share: float) -> None:
    path = animation(tmp_path / "v.webp", noisy(30))
    data = path.read_bytes()
    cut = max(25, int(len(data) * share))
    whole = sum(end <= cut for _, end in frame_chunks(path))
    path.write_bytes(data[:cut])
    with pytest.raises(DecodeError, match=f"truncated or damaged: {cut} of the {len(data)} bytes"):
        read(path)
    if whole == 0:
        with pytest.raises(DecodeError, match="no frame could be decoded"):
            read(path, "split")
        return
    frames, footage = read(path, "split")
    assert numbers(frames) == list(range(whole))
    assert footage.counts == {"ends that are lost": 1}


def test_bytes_behind_its_end_are_none_of_it(tmp_path: Path) -> None:
    path = animation(tmp_path / "v.webp", noisy(3))
    path.write_bytes(path.read_bytes() + b"ANMF" * 9)
    assert numbers(read(path)[0]) == [0, 1, 2]


def test_what_follows_a_broken_frame_is_lost(tmp_path: Path) -> None:
    path = animation(tmp_path / "v.webp", noisy(10))
    data, (begin, end) = bytearray(path.read_bytes()), frame_chunks(path)[6]
    data[begin + 40 : end] = b"\xff" * (end - begin - 40)
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=r"a/v\.webp: damaged after frame 6"):
        read(path)
    frames, footage = read(path, "split")
    assert numbers(frames) == list(range(6)) and footage.counts == {"ends that are lost": 1}


@pytest.mark.parametrize("place", [4, 8])
def test_damaged_chunks_are_errors(tmp_path: Path, place: int) -> None:
    """Of a frame longer than the file; of one out of the picture."""
    path = animation(tmp_path / "v.webp", noisy(10))
    data, begin = bytearray(path.read_bytes()), frame_chunks(path)[4][0]
    data[begin + place : begin + place + 4] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=r"a/v\.webp: (truncated or )?damaged"):
        read(path)


def test_chunks_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    path = animation(tmp_path / "v.webp", noisy(10))
    data, begin = bytearray(path.read_bytes()), frame_chunks(path)[4][0]
    data[begin : begin + 4] = b"NOTE"
    path.write_bytes(data)
    frames, _ = read(path)
    assert numbers(frames) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_flipped_bits_end_as_frames_or_as_an_error(tmp_path: Path) -> None:
    path = animation(tmp_path / "v.webp", noisy(10))
    data = path.read_bytes()
    for seed in range(40):
        chance, broken = np.random.default_rng(seed), bytearray(data)
        for place in chance.integers(21, len(data), 3):
            broken[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(broken)
        try:
            frames, footage = read(path, "split" if seed % 2 else "refuse")
        except DecodeError:
            continue
        assert all(after > before for before, after in pairwise(footage.times))
        assert len({frame.shape for frame in frames}) == 1
