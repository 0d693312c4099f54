"""The codecs against another encoder's own file, and against the size of what they may change."""

import io

import av
import cv2
import numpy as np
import pytest

from datasets.clips.codec import compress


def face_like(count: int, size: int = 20) -> np.ndarray:
    """A smooth picture in colour that drifts by a third of a pixel a frame."""
    rows, columns = np.mgrid[:size, :size].astype(float)
    frames = []
    for i in range(count):
        wave = np.sin((columns + i / 3) / 2.5) * np.cos(rows / 3.1)
        frames.append(
            np.stack([140 + 70 * wave, 110 + 50 * wave, 90 + 30 * np.cos(columns / 4)], 2)
        )
    return np.rint(frames).astype(np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize(("codec", "fine", "coarse"), [("h264", 4, 36), ("jpeg", 98, 30)])
def test_fine_quality_keeps_the_picture_and_coarse_loses_it(
    codec: str, fine: int, coarse: int
) -> None:
    frames = face_like(25)
    near, far = (compress(frames, codec, quality, 5, 11) for quality in (fine, coarse))
    assert near.shape == far.shape == frames.shape
    assert near.dtype == np.uint8
    assert error(near, frames) < 4
    assert error(far, frames) > 2 * error(near, frames)


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
@pytest.mark.parametrize("count", [1, 2, 25])
def test_every_frame_comes_back_in_its_place(codec: str, count: int) -> None:
    """Frame i is nearest to what was decoded as frame i: none is lost, doubled or reordered."""
    frames = face_like(25)[:: 25 // count][:count] if count < 25 else face_like(25)
    quality = 18 if codec == "h264" else 95
    decoded = compress(frames, codec, quality, 0, 0)
    for i, frame in enumerate(decoded):
        assert np.argmin([error(frame, other) for other in frames]) == i


def test_h264_is_what_a_file_of_the_same_stream_decodes_to() -> None:
    """x264 through an mp4 container, at the same rate factor and preset, gives the same luma."""
    frames = face_like(25, 16)
    left, top, size = 8 + 3, 8 + 9, 48
    canvas = [
        cv2.copyMakeBorder(f, top, size - 16 - top, left, size - 16 - left, cv2.BORDER_REFLECT_101)
        for f in frames
    ]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=25,
            options={"crf": "28", "preset": "veryfast", "threads": "1", "mbtree": "0"},
        )
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(canvas):
            ycc = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
            planes = [ycc[..., 0]] + [
                ycc[..., c].reshape(24, 2, 24, 2).mean((1, 3)).round() for c in (2, 1)
            ]
            flat = np.concatenate([plane.ravel() for plane in planes]).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(flat.reshape(72, 48), format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(io.BytesIO(file.getvalue())) as container:
        decoded = np.stack([f.to_ndarray()[:48] for f in container.decode(video=0)])
    wanted = decoded[:, top : top + 16, left : left + 16].astype(float)
    got = compress(frames, "h264", 28, 3, 9).astype(float) @ [0.299, 0.587, 0.114]
    # The way to RGB and back rounds; colours that leave 0–255 are clipped.
    assert np.abs(got - wanted).mean() < 1.0


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_colour_edges_stay_where_they_are(codec: str) -> None:
    """A disc of red on green of one luma is seen in the chroma alone; its centre does not move."""
    rows, columns = np.mgrid[:24, :24]
    weight = np.exp(-((rows - 10.5) ** 2 + (columns - 12.5) ** 2) / 18)[:, :, None]
    frame = weight * (180, 60, 80) + (1 - weight) * (60, 121, 80)
    frames = np.rint(frame[None].repeat(5, 0)).astype(np.uint8)
    quality = 10 if codec == "h264" else 95
    red = compress(frames, codec, quality, 6, 1)[2, :, :, 0].astype(float) - 60
    red = red.clip(0)
    assert (red * rows).sum() / red.sum() == pytest.approx(10.5, abs=0.25)
    assert (red * columns).sum() / red.sum() == pytest.approx(12.5, abs=0.25)


def test_another_codec_is_refused() -> None:
    with pytest.raises(ValueError, match="codec 'vp9'"):
        compress(face_like(1), "vp9", 30, 0, 0)
