import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.sources.discovery import Source
from datasets.sources.video import open_source
from datasets.tracking.detectors import (
    YUNET_OVERLAP,
    YUNET_SCORE,
    DetectorError,
    build_detector,
    haar_detector,
    yunet_detector,
)
from datasets.tracking.search import Search

FACES = os.environ.get("FACESTACK_FACES")
# One of each kind of footage: container, size of the frame, size of the face.
SAMPLE = [
    "id000/clip_03.mp4", "id005/clip_02.wmv", "id011/clip_01.mpg", "id086/clip_01.avi",
    "id131/clip_01.mp4", "id044/clip_01.mp4",
]  # fmt: skip


def test_no_model_is_the_cascade_and_a_blank_frame_has_no_face() -> None:
    detect = build_detector(None)
    boxes = detect(np.full((120, 160, 3), 128, np.uint8))
    assert boxes.shape == (0, 5)
    assert boxes.dtype == np.float32


def test_a_missing_model_is_named() -> None:
    with pytest.raises(DetectorError, match=r"/no/yunet\.onnx: no such file; give"):
        build_detector("/no/yunet.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("not a model")
    with pytest.raises(DetectorError, match=r"m\.onnx: not a YuNet model"):
        yunet_detector(str(tmp_path / "m.onnx"))


def test_a_frame_of_another_size_and_one_smaller_than_the_window() -> None:
    detect = haar_detector()
    for shape in [(8, 8, 3), (30, 400, 3), (241, 322, 3)]:
        assert detect(np.zeros(shape, np.uint8)).shape == (0, 5)


def found_faces(name: str, model: str | None) -> tuple[np.ndarray, float]:
    """The largest box of a frame in the middle, as the centre and side, and the known side."""
    assert FACES is not None
    with open(f"{FACES}/videos.csv") as file:
        known = {row["path"]: float(row["face_px"]) for row in csv.DictReader(file)}
    source = Source(f"file://{FACES}/videos/{name}", name, name.split("/")[0], "video")
    look = Search(build_detector(model), 40)
    with open_source(source) as footage:
        frame = next(frame for index, frame in enumerate(footage.frames()) if index == 20)
    boxes = look.everywhere(frame)
    largest = boxes[np.argmax(boxes[:, 2])] if len(boxes) else np.full(5, np.nan)
    return largest, known[name]


@pytest.mark.skipif(FACES is None, reason="needs FACESTACK_FACES")
def test_the_cascade_finds_most_real_faces_at_their_size() -> None:
    good = 0
    for name in SAMPLE:
        box, known = found_faces(name, None)
        good += bool(0.75 * known < box[2] < 1.6 * known)
    assert good >= 5


@pytest.mark.skipif(FACES is None, reason="needs FACESTACK_FACES")
def test_yunet_finds_all_real_faces_where_the_cascade_does() -> None:
    model = Path(FACES or "") / ".." / "weights" / "yunet_n_320_320.onnx"
    if not model.exists():
        pytest.skip("no YuNet model beside the videos")
    for name in SAMPLE:
        box, known = found_faces(name, str(model))
        assert 0.75 * known < box[2] < 1.6 * known, name
        assert box[2] == box[3]
        assert YUNET_SCORE <= box[4] <= 1, name
        cascade, _ = found_faces(name, None)
        if not np.isnan(cascade[:4]).any():
            assert np.isnan(cascade[4])
            centres = cascade[:2] + cascade[2:4] / 2 - box[:2] - box[2:4] / 2
            assert np.abs(centres).max() < 0.25 * box[2], name


def yunet_and_frame(faces: Path) -> tuple[str, np.ndarray]:
    """The file of YuNet's model, and the first frame of a film."""
    model = faces.parent / "weights" / "yunet_n_320_320.onnx"
    if not model.exists():
        pytest.skip("no YuNet model beside the videos")
    name = SAMPLE[0]
    with open_source(Source(f"file://{faces}/videos/{name}", name, "a", "video")) as footage:
        return str(model), next(footage.frames())


def test_the_scores_of_yunet_are_its_own(faces: Path) -> None:
    """Told by OpenCV's network itself, shown the same frame; it names the score last."""
    model, frame = yunet_and_frame(faces)
    size = (frame.shape[1], frame.shape[0])
    network = cv2.FaceDetectorYN.create(model, "", size, YUNET_SCORE, YUNET_OVERLAP)
    _, told = network.detect(np.ascontiguousarray(frame[:, :, ::-1]))
    found = yunet_detector(model)(frame)
    assert len(found) > 0
    np.testing.assert_array_equal(found[:, 4], told[:, -1])


def test_yunet_is_shown_no_image_of_which_it_reads_beyond_the_end(faces: Path) -> None:
    """Images of a side of 32 pixels or less, which OpenCV pads to 32: the boxes are finite, and the
    same whatever the network was shown before."""
    model, frame = yunet_and_frame(faces)
    detect = yunet_detector(model)
    for width, height in [(1, 1), (20, 90), (32, 128), (128, 32), (90, 30), (33, 33), (160, 24)]:
        image = np.ascontiguousarray(frame[60 : 60 + height, 60 : 60 + width])
        expected = yunet_detector(model)(image)
        for before in (frame[:128, :160], frame[:40, :300]):
            detect(np.ascontiguousarray(before))
            found = detect(image)
            assert np.isfinite(found).all() and (found[:, 2] > 0).all()
            np.testing.assert_array_equal(found, expected)
