"""Pictures are upright, of square pixels, and of the colours that a player shows."""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from datasets.sources.footage import DecodeError
from infra.extraction import Damage
from tests.support.films import film, flat, numbered, read
from tests.support.media import Frame

Matrix = tuple[float, float, float, float]  # (x, y), y down, to (a x + c y, b x + d y)


def smooth(width: int = 96, height: int = 72) -> Frame:
    """A picture that is like none of its turned or mirrored self."""
    draw = np.random.default_rng(3)
    small = draw.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def turned(path: Path, matrix: Matrix) -> Path:
    a, b, c, d = (round(number * 65536) for number in matrix)

    def adjust(stream: VideoStream) -> None:
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

    return film(path, [smooth()] * 3, "libx264", "yuv444p", adjust=adjust, crf="5")


@pytest.mark.parametrize(
    "matrix",
    [(a, 0, 0, d) for a, d in product((1, -1), (1, -1))]
    + [(0, b, c, 0) for b, c in product((1, -1), (1, -1))],
)
def test_pictures_are_turned_and_mirrored_as_the_matrix_says(
    tmp_path: Path, matrix: Matrix
) -> None:
    """Each pixel is where the matrix takes it, moved so that all are in the picture."""
    plain = read(film(tmp_path / "p.mp4", [smooth()] * 3, "libx264", "yuv444p", crf="5"))[0][0]
    frames, footage = read(turned(tmp_path / "v.mp4", matrix))
    a, b, c, d = matrix
    height, width = plain.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    across, down = a * columns + c * rows, b * columns + d * rows
    expected = np.zeros((np.ptp(down) + 1, np.ptp(across) + 1, 3), np.uint8)
    expected[down - down.min(), across - across.min()] = plain
    np.testing.assert_array_equal(frames[0], expected)
    assert (footage.height, footage.width) == expected.shape[:2]
    assert footage.counts == ({} if matrix == (1, 0, 0, 1) else {"turned frames": 3})


@pytest.mark.parametrize("degrees", [5, -5, 40])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tilted_picture_is_turned_as_by_the_filter_of_players(
    tmp_path: Path, degrees: int, mirrored: bool
) -> None:
    """FFmpeg's rotate, clockwise, which keeps the size; mirrored upside down before that."""
    plain = read(film(tmp_path / "p.mp4", [smooth()] * 3, "libx264", "yuv444p", crf="5"))[0][0]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sign = -1 if mirrored else 1
    frames, _ = read(turned(tmp_path / "v.mp4", (cos, sin, -sin * sign, cos * sign)))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=96, height=72, format=av.VideoFormat("rgb24"), time_base=Fraction(1, 25)
    )
    rotate = graph.add("rotate", f"{degrees}*PI/180")
    graph.link_nodes(source, rotate, graph.add("buffersink")).configure()
    graph.push(av.VideoFrame.from_ndarray(np.ascontiguousarray(plain[::sign]), format="rgb24"))
    expected = graph.vpull().to_ndarray()
    inner = slice(2, -2)  # its edges are not smooth
    difference = np.abs(frames[0].astype(int) - expected)[inner, inner]
    assert np.median(difference) <= 1 and difference.mean() < 3


@pytest.mark.parametrize(
    ("aspect", "matrix", "width", "height"),
    [(Fraction(64, 45), None, 137, 72), (Fraction(8, 9), None, 96, 81),
     (Fraction(64, 45), (0, 1, -1, 0), 72, 137), (Fraction(201, 200), None, 96, 72)],
)  # fmt: skip
def test_pixels_become_square_and_none_is_lost(
    tmp_path: Path, aspect: Fraction, matrix: Matrix | None, width: int, height: int
) -> None:
    """A disc as a camera of such pixels stores it is round again."""
    shown = height / 2 if matrix else width / 2
    rows, columns = np.mgrid[:72, :96]
    across, down = max(float(aspect), 1), max(1 / float(aspect), 1)
    away = np.hypot((columns - 47.5) * across, (rows - 35.5) * down)
    disc = np.repeat(np.where(away < 25, 230, 30).astype(np.uint8)[:, :, None], 3, 2)

    def adjust(stream: VideoStream) -> None:
        stream.sample_aspect_ratio = aspect
        if matrix:
            a, b, c, d = (int(number) << 16 for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

    frames, footage = read(film(tmp_path / "v.mp4", [disc] * 2, adjust=adjust, crf="5"))
    assert frames[0].shape[:2] == (height, width) == (footage.height, footage.width)
    inside = np.nonzero(frames[0][:, :, 0] > 128)
    assert [np.ptp(side) + 1 for side in inside] == [pytest.approx(50, abs=1)] * 2
    assert shown == max(width, height) / 2
    kept = aspect == Fraction(201, 200)
    of_one = 1.0 if kept else float(1 / aspect if matrix else aspect)
    assert footage.pixel_aspect == pytest.approx(of_one)
    assert footage.counts["frames of non-square pixels"] == (0 if kept else 2)


def test_pixels_that_are_very_wide_do_not_pass_the_bound(tmp_path: Path) -> None:
    def adjust(stream: VideoStream) -> None:
        stream.sample_aspect_ratio = Fraction(20)

    path = film(tmp_path / "v.mp4", [smooth()] * 2, adjust=adjust)
    with pytest.raises(DecodeError, match="1920×72 is more than 100000 pixels"):
        read(path, max_pixels=100_000)


def joined(path: Path, codec: str, *aspects: Fraction | None, before: int = 12) -> Path:
    """Broadcasts of 352×288 after one another, of pixels of these aspects: `before` frames of the
    first, and 12 of each other."""
    whole = b""
    for number, aspect in enumerate(aspects):

        def adjust(stream: VideoStream, aspect: Fraction | None = aspect) -> None:
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect

        frames = numbered(12 if number else before, 0, 352, 288)
        whole += film(path, frames, codec, adjust=adjust, bf="2").read_bytes()
    path.write_bytes(whole)
    return path


NARROW, WIDE = Fraction(12, 11), Fraction(16, 11)  # 352×288 shown at 4:3 and at 16:9


@pytest.mark.parametrize("damage", ["refuse", "split"])
@pytest.mark.parametrize("codec", ["mpeg2video", "libx264", "mpeg4"])
@pytest.mark.parametrize(("first", "second"), [(NARROW, WIDE), (WIDE, NARROW), (WIDE, None)])
def test_pixels_that_change_their_aspect_within_a_film_are_refused(
    tmp_path: Path, codec: str, first: Fraction, second: Fraction | None, damage: Damage
) -> None:
    """As frames that change their size: what comes next is no picture of the same kind."""
    said = rf"frame \d+, .* {_ratio(second)}, not {_ratio(first)} "
    with pytest.raises(DecodeError, match=said) as refusal:
        read(joined(tmp_path / "v.ts", codec, first, second), damage)
    assert refusal.value.kind == "frames of differing size"
    at = int(re.findall(r"frame (\d+)", str(refusal.value))[0])
    assert 10 <= at <= 12  # the decoder is ahead by up to two frames


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_they_are_refused_too_where_they_change_before_a_frame_comes_out(
    tmp_path: Path, codec: str
) -> None:
    with pytest.raises(DecodeError, match="16:11, not 12:11"):
        read(joined(tmp_path / "v.ts", codec, NARROW, WIDE, before=1))


def test_two_ways_to_say_nearly_the_same_aspect_are_no_change(tmp_path: Path) -> None:
    frames, footage = read(joined(tmp_path / "v.ts", "libx264", NARROW, Fraction(59, 54)))
    assert len(frames) == 24 and footage.pixel_aspect == pytest.approx(12 / 11)


def _ratio(aspect: Fraction | None) -> str:
    return f"{aspect.numerator}:{aspect.denominator}" if aspect else "1:1"


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_container_s_aspect_that_is_not_the_codec_s_is_no_change(
    tmp_path: Path, codec: str
) -> None:
    """Containers that tell one are believed, as by players."""
    plain = film(tmp_path / "v.mkv", numbered(12, width=352, height=288), codec)
    with av.open(str(plain)) as told, av.open(str(tmp_path / "v.mp4"), "w") as output:
        stream = told.streams.video[0]
        copy = output.add_stream_from_template(stream)
        copy.sample_aspect_ratio = WIDE
        for packet in told.demux(stream):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    frames, footage = read(tmp_path / "v.mp4")
    assert len(frames) == 12 and footage.pixel_aspect == pytest.approx(16 / 11, abs=0.01)


def rgb(coded: tuple[int, int, int], red: float, blue: float, full: bool) -> list[float]:
    """R'G'B' 0 … 255 of 8-bit Y'CbCr by the weights of red and blue (ITU-R BT.601, BT.709, 3.2)."""
    y, cb, cr = (
        (value - offset) / scale
        for value, offset, scale in zip(
            coded, (0 if full else 16, 128, 128), (255,) * 3 if full else (219, 224, 224),
            strict=True,
        )
    )  # fmt: skip
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return [255 * value for value in (r, (y - red * r - blue * b) / (1 - red - blue), b)]


BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


def tagged(matrix: int | None, span: int | None = None) -> Callable[[VideoStream], None]:
    def adjust(stream: VideoStream) -> None:
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        if span is not None:
            stream.codec_context.color_range = span

    return adjust


@pytest.mark.parametrize(
    ("width", "height", "matrix", "weights"),
    [(64, 48, None, BT601), (1280, 48, None, BT709), (64, 720, None, BT709),
     (64, 48, Colorspace.ITU709, BT709), (1280, 48, Colorspace.ITU601, BT601),
     (1280, 48, Colorspace.SMPTE170M, BT601), (64, 48, Colorspace.BT2020, BT2020)],
)  # fmt: skip
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_of_the_matrix_that_is_told_or_usual_for_the_size(
    tmp_path: Path, width: int, height: int, matrix: int | None, weights: tuple[float, float],
    full: bool,
) -> None:  # fmt: skip
    """Faces' colours, and a saturated one."""
    for coded in ((150, 110, 155), (80, 120, 140), (120, 100, 170)):
        frames, footage = read(
            film(
                tmp_path / "v.mp4", [flat(coded, width=width, height=height)] * 2,
                adjust=tagged(matrix, ColorRange.JPEG if full else None),
                preset="ultrafast", qp="1",
            )
        )  # fmt: skip
        found = np.median(frames[0], axis=(0, 1))
        np.testing.assert_allclose(found, rgb(coded, *weights, full), atol=2.5)
        assert footage.counts == {}


def test_interlaced_frames_keep_the_matrix_that_is_told(tmp_path: Path) -> None:
    coded = (120, 100, 170)
    path = film(
        tmp_path / "v.mp4", [flat(coded)] * 5, adjust=tagged(Colorspace.ITU709),
        **{"x264-params": "tff=1"}, qp="1",
    )  # fmt: skip
    frames, footage = read(path)
    assert footage.counts == {"deinterlaced frames": 5}
    np.testing.assert_allclose(np.median(frames[2], (0, 1)), rgb(coded, *BT709, False), atol=2.5)
    np.testing.assert_allclose(footage.times, np.arange(5) / 25)
