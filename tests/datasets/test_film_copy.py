"""What goes with the pictures of a film goes with those that take their place, and in step."""

import struct
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.film_copy import Companions
from tests.support.films import add_stream, numbered, numbers, picture
from tests.support.whole_films import (
    TEXTS,
    covers,
    packets,
    pictures,
    shaken,
    source_of,
    whole_film,
    written_again,
)


def bare(data: bytes) -> bytes:
    """A packet of sound without the header that broadcasts have before each of AAC."""
    return data[7:] if data.startswith(b"\xff\xf1") else data


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


@pytest.mark.parametrize(("name", "sound"), [("v.wmv", "wmav2"), ("v.avi", "adpcm_ima_wav")])
def test_sound_that_no_container_takes_is_decoded(tmp_path: Path, name: str, sound: str) -> None:
    """It is that of the source, rounded to 16 bits, at the source's times."""
    path = whole_film(tmp_path / name, shaken(25), sound)
    copy, told = written_again(source_of(path), tmp_path / "out")
    assert copy.suffix == ".mkv" and told["left_out_streams"] == []
    assert told["changed_streams"] == [f"stream 1: audio ({sound}) as pcm_s16le"]
    old, new = decoded(path), decoded(copy)
    np.testing.assert_allclose([at for at, _ in new], [at for at, _ in old], atol=0.0015)
    for (_, one), (_, other) in zip(old, new, strict=True):
        level = one * 32768 if one.dtype == np.float32 else one
        np.testing.assert_allclose(other, level, atol=0.51)
    assert max(int(abs(part).max()) for _, part in new) > 3000  # noise
    assert pictures(copy)[0] == pytest.approx(pictures(path)[0], abs=0.001)


def test_sound_that_ends_long_before_the_pictures_is_whole(tmp_path: Path) -> None:
    times = [Fraction(i, 3) for i in range(25)]
    path = whole_film(tmp_path / "v.wmv", shaken(25), "wmav2", times=times)
    copy, told = written_again(source_of(path), tmp_path / "out")
    assert told["changed_streams"] == ["stream 1: audio (wmav2) as pcm_s16le"]
    assert len(decoded(copy)) == len(decoded(path)) and len(pictures(copy)[0]) == 25


def test_a_packet_that_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.wmv", shaken(50), "wmav2")
    written, data = packets(path, "audio"), path.read_bytes()
    _, _, spoilt = written[len(written) // 2]
    assert data.count(spoilt) == 1
    path.write_bytes(data.replace(spoilt, b"\xff" * len(spoilt)))
    copy, told = written_again(source_of(path), tmp_path / "out")
    (said,) = told["changed_streams"]  # type: ignore[misc]
    assert said == "stream 1: audio (wmav2) as pcm_s16le, damaged packets: 1"
    assert len(decoded(copy)) == len(decoded(path)) and len(pictures(copy)[0]) == 50


def decoded(path: Path) -> list[tuple[float, NDArray[np.generic]]]:
    """The time [s] and samples of each piece of sound that can be decoded."""
    pieces, end = list[tuple[float, NDArray[np.generic]]](), 0.0
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            with suppress(av.error.InvalidDataError):
                for frame in packet.decode():
                    at = end if frame.time is None else frame.time
                    end = at + frame.samples / frame.sample_rate
                    samples = frame.to_ndarray()
                    planar = frame.format.is_planar
                    pieces.append((at, (samples.T if planar else samples).reshape(-1)))
    return pieces


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


def test_a_packet_that_is_refused_ends_its_stream_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one that is to be heard before it is decoded."""
    path = whole_film(tmp_path / "v.mp4", shaken(25), subtitles="mov_text")
    moved = Companions._moved

    def spoilt(self: Companions, packet: av.Packet, shift: Fraction) -> av.Packet:
        packet = moved(self, packet, shift)
        if packet.pts == 24 * 1024:
            packet.dts = 25 * 1024
        return packet

    monkeypatch.setattr(Companions, "_moved", spoilt)
    copy, told = written_again(source_of(path), tmp_path / "out")
    (said,) = told["left_out_streams"]  # type: ignore[misc]
    assert said.startswith("stream 1: audio (aac) from 0.5 s on: refused")
    assert packets(copy, "audio") == packets(path, "audio")[:25]
    assert packets(copy, "subtitle") == packets(path, "subtitle")
    assert numbers(pictures(copy)[1]) == list(range(25))


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


def test_a_film_without_an_end_keeps_the_sound_that_it_has(tmp_path: Path) -> None:
    path = whole_film(tmp_path / "v.mkv", shaken(50))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    copy, _ = written_again(source_of(path), tmp_path / "out", damage="split")
    old, new = packets(path, "audio"), packets(copy, "audio")
    assert new == old and len(new) > 10
    assert pictures(copy)[0] == pictures(path)[0]
