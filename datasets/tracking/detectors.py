"""Face detectors: an image H×W×3 uint8 RGB → float32 N×5: boxes (x, y, width, height) and scores.

Boxes are square, in pixels of the image with (0, 0) at the corner of the first pixel, and reach
from the brows to the chin, as those of OpenCV's frontal cascade do; YuNet's taller boxes are made
square to agree with them, so that one crop margin serves both. A score lies in [0, 1], and is NaN
where a detector tells none. `search` says at what size an image is shown to a detector.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Boxes, Frame
from infra.errors import InputError
from infra.text import one_line

# Tried on 339 frames of 113 real clips; see `haar_detector`.
CASCADE = "haarcascade_frontalface_default.xml"
SCALE_FACTOR, MIN_NEIGHBOURS = 1.15, 5
YUNET_SCORE, YUNET_OVERLAP = 0.7, 0.3
YUNET_COLUMN = 14  # of what it gives: the score, after the box and five points of the face
# Of 58 real faces reduced to 12 pixels YuNet finds 35 as they are, 57 enlarged to 18.
YUNET_FACE, YUNET_SURE, YUNET_EXACT = 20, 30, 60
# OpenCV pads an image to whole 32 pixels; of one side of 32 YuNet reads memory that is not its own,
# and its boxes are what was there.
YUNET_LEAST = 64
# The cascade follows a known face of 45 pixels through 94 % of the frames of one of 75.
CASCADE_FACE, CASCADE_SURE = 30, 75

Scored = NDArray[np.float32]  # N×5: x, y, width, height in pixels of the image, score


class DetectorError(InputError):
    """A detector's model that cannot be used."""


@dataclass(frozen=True)
class Detector:
    """What `find`s the faces of an image: boxes N×4, or N×5 with their scores. Those from
    `smallest` pixels on it finds mostly, those of `sure` pixels nearly always, and boxes of more
    than `exact` are no more exact; 0 is for what finds a face of any size, and is shown every frame
    as it is."""

    find: Callable[[Frame], Boxes | Scored]
    smallest: int = 0
    sure: int = 0
    exact: int = 0

    def __call__(self, image: Frame) -> Scored:
        """The boxes of the faces of `image`, with a score of NaN where none is told."""
        found = self.find(image)
        return np.pad(found, ((0, 0), (0, 5 - found.shape[1])), constant_values=np.nan)


def build_detector(model: str | None) -> Detector:
    """Builds YuNet from the file `model`, or OpenCV's Haar cascade where `model` is None."""
    return haar_detector() if model is None else yunet_detector(model)


def haar_detector() -> Detector:
    """Builds a detector from OpenCV's own frontal cascade, whose window is 24 pixels wide."""
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))
    if cascade.empty():
        raise DetectorError(f"{CASCADE}: not in this OpenCV; install opencv-python-headless 4.x")

    def find(image: Frame) -> Boxes:
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        found = cascade.detectMultiScale(grey, SCALE_FACTOR, MIN_NEIGHBOURS)
        return np.asarray(found, np.float32).reshape(-1, 4)

    return Detector(find, CASCADE_FACE, CASCADE_SURE, CASCADE_SURE)


def yunet_detector(model_path: str) -> Detector:
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

    def find(image: Frame) -> Boxes:
        below, beside = (max(0, YUNET_LEAST - side) for side in image.shape[:2])
        if below or beside:
            image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        network.setInputSize((image.shape[1], image.shape[0]))
        _, found = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found is None:
            return np.zeros((0, 5), np.float32)
        boxes = found[:, :4]
        good = np.isfinite(boxes).all(1) & (boxes[:, 2:] >= 1).all(1)
        return np.column_stack([_squares(boxes[good]), found[good, YUNET_COLUMN]])

    return Detector(find, YUNET_FACE, YUNET_SURE, YUNET_EXACT)


def _squares(boxes: NDArray[np.floating]) -> Boxes:
    """Makes boxes square at equal area, moved down a little, as the cascade's are."""
    side = np.sqrt(boxes[:, 2] * boxes[:, 3])
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.column_stack([centre - side[:, None] / 2, side, side]).astype(np.float32)
