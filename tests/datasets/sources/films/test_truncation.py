"""Videos that were cut off, and those that only look so."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datasets.sources.footage import DecodeError
from tests.datasets.sources.test_video import read
from tests.support.media import moving_square, write_video


def truncate(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_mp4_cut_off_with_its_index_lost(tmp_path: Path, share: float) -> None:
    write_video(tmp_path / "v.mp4", moving_square(60))
    truncate(tmp_path / "v.mp4", share)
    with pytest.raises(DecodeError, match=r"a/v\.mp4"):
        read(tmp_path / "v.mp4")


@pytest.mark.parametrize(
    ("extension", "codec", "options"),
    [("mp4", "h264", {"movflags": "faststart"}), ("avi", "mpeg4", {}), ("mkv", "mpeg4", {})],
)
def test_truncation_that_still_opens_is_found(
    tmp_path: Path, extension: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / f"v.{extension}"
    write_video(path, moving_square(120), codec=codec, options=options)
    assert len(read(path)) == 120
    truncate(path, 0.6)
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)


@pytest.mark.parametrize("share", [0.97, 0.99])
@pytest.mark.parametrize(
    ("extension", "codec"), [("mkv", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4")]
)
def test_a_lost_end_is_found(tmp_path: Path, extension: str, codec: str, share: float) -> None:
    """Cut within a frame, which the decoder may see, and between two, which it cannot."""
    path = tmp_path / f"v.{extension}"
    noise = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 3), np.uint8)
    write_video(path, list(noise), Fraction(10), codec)
    assert len(read(path)) == 500
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos]
    data = path.read_bytes()
    within = int(places[-1] * share)  # behind the last frame lies an index, of no pixels
    for end in (within, max(place for place in places if place <= within)):
        path.write_bytes(data[:end])
        with pytest.raises(DecodeError, match=r"truncated|damaged"):
            read(path)


def test_a_tag_left_over_from_matroska_promises_nothing(tmp_path: Path) -> None:
    """As in a part of it that FFmpeg has copied into Ogg."""
    with av.open(str(tmp_path / "v.ogv"), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        stream.metadata["DURATION"] = "00:00:30.000000000"
        for image in moving_square(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert len(read(tmp_path / "v.ogv")) == 25


def test_frames_dropped_in_recording_are_no_lost_end(tmp_path: Path) -> None:
    """AVI counts them; other containers leave a gap, even before the first frame."""
    for name, codec, start in [
        ("v.avi", "mpeg4", 0),
        ("v.mkv", "mpeg4", 50),
        ("v.webm", "libvpx", 50),
    ]:
        with av.open(str(tmp_path / name), "w") as container:
            # Without the option the last one takes longer than all the others together.
            stream = container.add_stream(codec, rate=25, options={"deadline": "realtime"})
            stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
            for number, image in enumerate(moving_square(200)):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = start + number + (4 if number > 100 else 0)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert len(read(tmp_path / name)) == 200


def test_mkv_with_sound_that_is_cut_off_is_found(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        for number, frame in enumerate(moving_square(120)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), "s16", "mono")
            noise.sample_rate, noise.pts = 8000, number * 320
            container.mux(sound.encode(noise))
        container.mux(video.encode())
    assert len(read(path)) == 120
    truncate(path, 0.6)
    with pytest.raises(DecodeError, match=r"truncated|damaged"):
        read(path)
