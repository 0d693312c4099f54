"""A film is written again of other pictures: their times, colours, bytes."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from av.video.stream import VideoStream

from datasets.film_writer import film_writer
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.errors import InputError
from infra.extraction import Limits
from tests.support.films import film, numbered, numbers
from tests.support.media import write_images
from tests.support.whole_films import (
    pictures,
    shaken,
    source_of,
    whole_film,
    written_again,
)


def test_frames_of_differing_length_keep_their_times(tmp_path: Path) -> None:
    times = [Fraction(at, 600) for at in (60, 84, 90, 120, 300, 320, 321, 400)]
    path = whole_film(tmp_path / "v.mp4", shaken(8), times=times)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    assert pictures(copy)[0] == times


def test_pictures_are_as_they_are_shown(tmp_path: Path) -> None:
    """Turned by the matrix, of square pixels; the copy says neither of itself."""

    def adjust(stream: VideoStream) -> None:
        stream.sample_aspect_ratio = Fraction(2)
        stream.set_display_matrix([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30])

    path = whole_film(tmp_path / "v.mp4", shaken(5), adjust=adjust)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    with av.open(str(copy)) as container:
        (frame, *_) = container.decode(video=0)
        assert (frame.width, frame.height, frame.rotation) == (64, 128, 0)
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize(
    ("matrix", "primaries", "curve", "scale"),
    [
        (Colorspace.ITU601, ColorPrimaries.BT470BG, ColorTrc.SMPTE170M, 1),
        (Colorspace.ITU601, ColorPrimaries.BT470BG, ColorTrc.SMPTE170M, 8),
        (Colorspace.ITU709, ColorPrimaries.BT709, ColorTrc.BT709, 1),
        (2, 2, 2, 8),
        (2, 2, 2, 1),
    ],
)
def test_colours_stay_and_are_told(
    tmp_path: Path, matrix: int, primaries: int, curve: int, scale: int
) -> None:
    """Colours are those of the source, read by another way, to a fraction of a level; the matrix
    goes by the new size and is told, as are primaries and curve, those of the source."""

    def adjust(stream: VideoStream) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, curve

    small = np.random.default_rng(3).integers(20, 236, (9, 11, 3)).astype(np.uint8)
    coded = [cv2.resize(small, (176, 144), interpolation=cv2.INTER_CUBIC)] * 3
    path = film(tmp_path / "v.mp4", coded, adjust=adjust, crf="1")
    copy, _ = written_again(source_of(path), tmp_path / "out", scale)
    with av.open(str(copy)) as container:
        context = container.streams.video[0].codec_context
        found = context.colorspace, context.color_primaries, context.color_trc
        kept = (primaries, curve) if primaries != 2 else (6, 6)
        assert found == (1 if scale == 8 else 5, *kept) and context.color_range == 1
    if matrix == 2:  # of the other way that of large films is assumed
        path = film(tmp_path / "t.mp4", coded, adjust=lambda s: _tag(s, 6), crf="1")
    for old, new in zip(pictures(path)[1], pictures(copy)[1], strict=True):
        np.testing.assert_allclose(new.mean((0, 1)), old.mean((0, 1)), atol=0.2)


def _tag(stream: VideoStream, matrix: int) -> None:
    stream.codec_context.colorspace = matrix


def test_a_folder_of_images_becomes_a_film(tmp_path: Path) -> None:
    write_images(tmp_path / "v", [f"{i}.png" for i in range(7)], numbered(7))
    source = Source(f"file://{tmp_path}/v", "v", "a", "images")
    copy, told = written_again(source, tmp_path / "out")
    times, frames = pictures(copy)
    assert times == [Fraction(i, 25) for i in range(7)] and numbers(frames) == list(range(7))
    assert told == {
        "film": "film.mp4",
        "left_out_streams": [],
        "changed_streams": [],
        "left_out_tags": [],
    }


def test_an_animation_becomes_an_mp4(tmp_path: Path) -> None:
    path = film(tmp_path / "v.gif", numbered(5), "gif", "rgb8", rate=10)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    assert copy.suffix == ".mp4" and pictures(copy)[0] == [Fraction(i, 10) for i in range(5)]


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    """In another process, too; Matroska would draw names for a film and its streams."""
    path = whole_film(tmp_path / "v.mkv", shaken(12), subtitles="subrip")
    code = (
        "import sys; from pathlib import Path; from tests.support.whole_films import *;"
        "written_again(source_of(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, path, tmp_path / "other"], check=True)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    assert copy.read_bytes() == (tmp_path / "other" / copy.name).read_bytes()


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    source = source_of(whole_film(tmp_path / "v.mp4", shaken(12)))
    with (
        pytest.raises(RuntimeError, match="by a caller"),
        open_source(source) as footage,
        film_writer(
            str(tmp_path / "out" / "film"), source, footage, Limits(), (64, 64), 20, "fast", "", {}
        ) as writer,
    ):
        for frame in footage.frames():
            writer.add(frame)
            if writer.count == 9:
                raise RuntimeError("by a caller")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("size", [(65, 64), (16386, 64)])
def test_a_size_that_no_film_has_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    source = source_of(whole_film(tmp_path / "v.mp4", shaken(3)))
    with (
        pytest.raises(InputError, match=f"{size[0]}×64; its sides must be even and at most 16384"),
        open_source(source) as footage,
        film_writer(str(tmp_path / "film"), source, footage, Limits(), size, 20, "fast", "", {}),
    ):
        pass
