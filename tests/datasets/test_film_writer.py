"""A film that is written again keeps all but its pictures, at its times."""

import struct
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
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
from tests.support.films import add_stream, film, numbered, numbers, picture
from tests.support.media import Frame, write_images
from tests.support.whole_films import (
    TEXTS,
    covers,
    packets,
    pictures,
    source_of,
    whole_film,
)


def written_again(
    source: Source, folder: Path, scale: int = 1, damage: str = "refuse"
) -> tuple[Path, dict[str, object]]:
    """The film of the same pictures, `scale` times as large."""
    limits, told = Limits(damage=damage), dict[str, object]()  # type: ignore[arg-type]
    with open_source(source, limits, exact=True) as footage:
        size = footage.width * scale, footage.height * scale
        options = size, 8, "veryfast", "Restored.", told
        with film_writer(str(folder / "film"), source, footage, limits, *options) as writer:
            for frame in footage.frames():
                writer.add(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST))
    return folder / str(told["film"]), told


def bare(data: bytes) -> bytes:
    """A packet of sound without the header that broadcasts have before each of AAC."""
    return data[7:] if data.startswith(b"\xff\xf1") else data


def shaken(count: int) -> list[Frame]:
    """Numbered frames that are worth B-frames."""
    grain = np.random.default_rng(0).integers(-6, 7, (64, 64 + 2 * count, 1))
    return [
        (frame + grain[:, 2 * i : 2 * i + 64]).astype(np.uint8)
        for i, frame in enumerate(numbered(count, width=64, height=64))
    ]


@pytest.mark.parametrize(
    ("name", "subtitles", "cover"),
    [
        ("v.mp4", "mov_text", False),
        ("v.mp4", "mov_text", True),
        ("v.mov", "mov_text", False),
        ("v.mkv", "subrip", False),
    ],
)
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_all_but_the_pictures_is_copied(
    tmp_path: Path, name: str, subtitles: str, cover: bool, start: float
) -> None:
    """Sound and subtitles byte for byte and at their times, whether sound begins with the picture
    or before it; the pictures at theirs."""
    path = whole_film(tmp_path / name, shaken(25), "aac", subtitles, cover, start)
    copy, told = written_again(source_of(path), tmp_path / "out", 2)
    assert copy.suffix == (".mkv" if name == "v.mkv" else ".mp4")
    assert told["left_out_streams"] == []
    sound = packets(path, "audio")
    assert packets(copy, "audio") == sound and len(sound) > 20
    assert packets(copy, "subtitle") == packets(path, "subtitle")
    assert [text[2].decode(errors="ignore")[-4:] for text in packets(copy, "subtitle")] == [
        text[-4:] for _, _, text in TEXTS
    ]
    times, frames = pictures(copy)
    assert times == pictures(path)[0] and numbers(frames) == list(range(25))
    assert covers(copy) == covers(path) and len(covers(copy)) == cover
    with av.open(str(path)) as old, av.open(str(copy)) as new:
        assert new.chapters() == old.chapters() and len(new.chapters()) == 2
        assert (new.start_time, new.duration) == (old.start_time, old.duration)
        (old_text,), (new_text,) = old.streams.subtitles, new.streams.subtitles
        assert new_text.language == (old_text.language or "und")
        tags = {tag.casefold(): value for tag, value in new.metadata.items()}
        assert tags["title"] == "A title" and tags["comment"] == "A comment | Restored."
        # mp4 has no room for a tag of one's own, and did not have it in the first place
        assert ("own" in tags) == (name == "v.mkv") and told["left_out_tags"] == []


@pytest.mark.parametrize(
    ("name", "sound"),
    [("v.ts", "aac"), ("v.ts", "ac3"), ("v.mpg", "mp2"), ("v.avi", "libmp3lame"), ("v.flv", "aac")],
)
def test_sound_stays_in_step_in_another_container(tmp_path: Path, name: str, sound: str) -> None:
    """Broadcasts begin at any time: the copy at 0. All else keeps its times, to a millisecond, as
    Matroska tells them."""
    path = whole_film(tmp_path / name, shaken(25), sound)
    copy, told = written_again(source_of(path), tmp_path / "out")
    assert copy.suffix == ".mkv" and told["left_out_streams"] == []
    old, new = packets(path, "audio"), packets(copy, "audio")
    assert [data for _, _, data in new] == [bare(data) for _, _, data in old]
    (first, *_), shown = pictures(path)[0], pictures(copy)[0]
    apart = [
        float((at - shown[0]) - (was - first)) for (at, *_), (was, *_) in zip(new, old, strict=True)
    ]
    np.testing.assert_allclose(apart, 0, atol=0.0015)
    assert [float(b - a) for a, b in pairwise(shown)] == pytest.approx([0.04] * 24, abs=0.0015)
    begin = min(new[0][0], shown[0])
    assert begin == 0 if name in ("v.ts", "v.mpg") else begin == min(old[0][0], first)


def test_sound_stays_in_step_where_a_broadcast_begins_anew(tmp_path: Path) -> None:
    """Two joined by their bytes, of which the first has less sound than picture: at their join the
    sound must wait."""
    first = whole_film(tmp_path / "1.ts", shaken(25), start=1.0)
    second = whole_film(tmp_path / "2.ts", shaken(50), start=0.2)
    path = tmp_path / "v.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    copy, _ = written_again(source_of(path), tmp_path / "out")
    shown, frames = pictures(copy)
    assert numbers(frames) == [*range(25), *range(50)]
    sound, old = packets(copy, "audio"), packets(path, "audio")
    assert [data for _, _, data in sound] == [bare(data) for _, _, data in old]
    for part, begin, packet in ((first, 0, 0), (second, 25, len(packets(first, "audio")))):
        apart = pictures(part)[0][0] - packets(part, "audio")[0][0]
        assert float(shown[begin] - sound[packet][0]) == pytest.approx(float(apart), abs=0.002)


def test_what_an_edit_hides_stays_hidden(tmp_path: Path) -> None:
    """A film cut without loss: of both streams only what is 0.8 s behind their beginning is
    shown, and heard."""
    path = whole_film(tmp_path / "v.mp4", shaken(50))
    data, place = bytearray(path.read_bytes()), 0
    for ticks in (12800, 48000):
        place = data.index(b"elst", place) + 12
        (begin,) = struct.unpack(">i", data[place + 4 : place + 8])
        data[place : place + 8] = struct.pack(">Ii", 1000, begin + round(0.8 * ticks))
    path.write_bytes(data)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    assert numbers(pictures(copy)[1]) == list(range(20, 45))
    assert packets(copy, "audio") == packets(path, "audio")
    assert heard(copy) == heard(path) and heard(copy)[0] == 0


def heard(path: Path) -> list[int | None]:
    """When each piece of sound is heard, in samples."""
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(audio=0)]


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
    assert told == {"film": "film.mp4", "left_out_streams": [], "left_out_tags": []}


def test_an_animation_becomes_an_mp4(tmp_path: Path) -> None:
    path = film(tmp_path / "v.gif", numbered(5), "gif", "rgb8", rate=10)
    copy, _ = written_again(source_of(path), tmp_path / "out")
    assert copy.suffix == ".mp4" and pictures(copy)[0] == [Fraction(i, 10) for i in range(5)]


def test_a_stream_that_no_container_takes_is_told(tmp_path: Path) -> None:
    """What was measured beside the picture, as the cameras of aeroplanes have it."""
    path = tmp_path / "v.ts"
    with av.open(str(path), "w") as output:
        stream = add_stream(output, shaken(1)[0], "libx264", "yuv420p", {})
        data = output.add_data_stream("klv")
        data.time_base = Fraction(1, 1000)
        for number, frame in enumerate(shaken(5)):
            output.mux(stream.encode(picture(frame, "yuv420p")))
            packet = av.Packet(b"measured")
            packet.stream, packet.time_base = data, Fraction(1, 1000)
            packet.pts = packet.dts = 40 * number
            output.mux(packet)
        output.mux(stream.encode())
    copy, told = written_again(source_of(path), tmp_path / "out")
    assert told["left_out_streams"] == ["stream 1: data (unknown)"]
    assert numbers(pictures(copy)[1]) == list(range(5))


def test_files_within_a_film_are_copied(tmp_path: Path) -> None:
    """Matroska's: a cover, which is shown as a picture, and the letters of its subtitles."""
    path, files = tmp_path / "v.mkv", [("cover.png", "image/png"), ("letters.ttf", "font/ttf")]
    png = cv2.imencode(".png", numbered(1)[0])[1].tobytes()
    with av.open(str(path), "w") as output:
        stream = add_stream(output, shaken(1)[0], "libx264", "yuv420p", {})
        for (name, kind), content in zip(files, (png, b"letters"), strict=True):
            output.add_attachment(name, kind, content)
        for frame in shaken(5):
            output.mux(stream.encode(picture(frame, "yuv420p")))
        output.mux(stream.encode())
    copy, told = written_again(source_of(path), tmp_path / "out")
    assert told["left_out_streams"] == [] and covers(copy) == [png] == covers(path)
    with av.open(str(copy)) as container:
        tags = [s.metadata for s in container.streams if "filename" in s.metadata]
        assert [(tag["filename"], tag["mimetype"]) for tag in tags] == files
        assert bytes(container.streams.attachments[0].data) == b"letters"


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    """In another process, too; Matroska would draw names for a film and its streams."""
    path = whole_film(tmp_path / "v.mkv", shaken(12), subtitles="subrip")
    code = (
        "import sys; from pathlib import Path; from tests.datasets.test_film_writer import *;"
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


def test_a_film_without_an_end_keeps_the_sound_that_it_has(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mkv", shaken(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    copy, _ = written_again(source_of(path), tmp_path / "out", damage="split")
    old, new = packets(path, "audio"), packets(copy, "audio")
    assert new == old and len(new) > 10
    assert pictures(copy)[0] == pictures(path)[0]
