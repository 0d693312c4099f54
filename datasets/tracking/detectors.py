"""Face detectors behind one callable: H×W×3 uint8 RGB → float32 N×4 boxes (x, y, width, height).

Boxes are square, in pixels of the frame with (0, 0) at the corner of the first pixel, and reach
from the brows to the chin, as those of OpenCV's frontal cascade do; YuNet's taller boxes are made
square to agree with them, so that one crop margin serves both.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Boxes, Frame
from infra.errors import InputError
from infra.text import one_line

Detector = Callable[[Frame], Boxes]

# Tried on 339 frames of 113 real clips; see `haar_detector`.
CASCADE = "haarcascade_frontalface_default.xml"
SCALE_FACTOR, MIN_NEIGHBOURS = 1.15, 5
# The search goes below the smallest accepted face, so that those just too small can be counted.
SEARCH_MARGIN = 0.8
HAAR_SIDE, YUNET_SIDE = 480, 400
YUNET_SCORE, YUNET_OVERLAP = 0.7, 0.3
YUNET_FACE = 20  # pixels; the smallest face that it finds reliably


class DetectorError(InputError):
    """A detector's model that cannot be used."""


def build_detector(model: str | None, min_face: int) -> Detector:
    """Builds YuNet from the file `model`, or OpenCV's Haar cascade where `model` is None."""
    return haar_detector(min_face) if model is None else yunet_detector(model, min_face)


def haar_detector(min_face: int) -> Detector:
    """Builds a detector from OpenCV's own frontal cascade for faces of `min_face` pixels and up.

    Faces down to 0.8·`min_face` are looked for, in an image of at most `HAAR_SIDE` pixels a side:
    in a frame of 1920 the smallest face found is 96 pixels.
    """
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))
    if cascade.empty():
        raise DetectorError(f"{CASCADE}: not in this OpenCV; install opencv-python-headless 4.x")
    window = cascade.getOriginalWindowSize()[0]

    def detect(frame: Frame) -> Boxes:
        small, scale = _shrink(frame, window / (SEARCH_MARGIN * min_face), HAAR_SIDE)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        found = cascade.detectMultiScale(grey, SCALE_FACTOR, MIN_NEIGHBOURS)
        return np.asarray(found, np.float32).reshape(-1, 4) / np.float32(scale)

    return detect


def yunet_detector(model_path: str, min_face: int) -> Detector:
    """Builds a detector from a YuNet ONNX file (OpenCV's `FaceDetectorYN`).

    Raises `DetectorError` where the file is missing or is not such a model.
    """
    if not Path(model_path).is_file():
        raise DetectorError(
            f"{model_path}: no such file; give a YuNet .onnx file, or none to use OpenCV's cascade"
        )
    try:
        network = cv2.FaceDetectorYN.create(
            model_path, "", (320, 320), YUNET_SCORE, YUNET_OVERLAP, 5000
        )
        network.detect(np.zeros((320, 320, 3), np.uint8))
    except cv2.error as error:
        reason = one_line(error, 120)
        raise DetectorError(f"{model_path}: not a YuNet model in ONNX ({reason})") from error

    def detect(frame: Frame) -> Boxes:
        small, scale = _shrink(frame, YUNET_FACE / (SEARCH_MARGIN * min_face), YUNET_SIDE)
        network.setInputSize((small.shape[1], small.shape[0]))
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if found is None:
            return np.zeros((0, 4), np.float32)
        return _squares(found[:, :4] / scale)

    return detect


def _shrink(frame: Frame, scale: float, side: int) -> tuple[Frame, float]:
    """Resizes by `scale`, or less so that no side exceeds `side`; never enlarges."""
    height, width = frame.shape[:2]
    scale = min(1.0, scale, side / max(height, width))
    if scale == 1.0:
        return frame, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA), scale


def _squares(boxes: NDArray[np.floating]) -> Boxes:
    """Makes boxes square at equal area, moved down a little, as the cascade's are."""
    side = np.sqrt(boxes[:, 2] * boxes[:, 3])
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.column_stack([centre - side[:, None] / 2, side, side]).astype(np.float32)
