"""Where in a film faces are looked for, and how large an image of it a detector is shown.

A detector finds faces from some size on (`Detector.smallest`) and takes time by the pixel. So a
frame is shown to it at the scale at which the smallest wanted face is just as large, enlarged where
need be. What is then large is looked through in tiles, and once more shrunk, for the faces that no
tile holds whole. A tile that looks as it did when it was last looked through shows nobody new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Boxes, Frame
from datasets.tracking.boxes import Square
from datasets.tracking.detectors import Detector

TILE = 640  # pixels shown at once: a detector's layers of more fall out of a processor's cache
SHRUNK = 4  # of two sizes at which a frame is looked through
# Sides of `smallest` by which tiles overlap, so that faces up to this size are whole in one of
# them; larger ones are `smallest` at least in the shrunk frame.
OVERLAP = 1.25 * SHRUNK
AROUND = 3.0  # sides of a known face: what is shown of its surroundings
# A tile has changed where the mean luma of a square of CELL pixels has, by so many levels.
CELL, CHANGED = 16, 6.0

Tile = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass
class Search:
    """The search of `detector` through the frames of one film, for faces of `min_face` pixels and
    more. Boxes are in pixels of the frame; one face may have several, a little apart."""

    detector: Detector
    min_face: int
    _seen: dict[tuple[int, Tile], NDArray[np.int16]] = field(default_factory=dict)

    def everywhere(self, frame: Frame, anew: bool = True) -> Boxes:
        """The faces of a whole frame. Where this is not `anew`, of the tiles that have changed
        since they were last looked through."""
        if not self.detector.smallest:
            return self.detector(frame)
        if anew:
            self._seen.clear()
        height, width = frame.shape[:2]
        scale, found = self.detector.smallest / self.min_face, [np.zeros((0, 4), np.float32)]
        while True:
            shown = _resized(frame, scale)
            for tile in _tiles(shown, round(OVERLAP * self.detector.smallest)):
                left, top, right, bottom = tile
                part = shown[top:bottom, left:right]
                if self._has_changed((shown.shape[1], tile), part):
                    corner = left * width / shown.shape[1], top * height / shown.shape[0]
                    found.append(self._placed(part, shown.shape[1] / width, corner))
            # Detectors find no face that is much larger than half a tile.
            if max(shown.shape[:2]) <= TILE / 2:
                return np.concatenate(found)
            scale /= SHRUNK

    def around(self, frame: Frame, faces: Sequence[Square]) -> Boxes:
        """The faces of the surroundings of the `faces` that are known."""
        if not self.detector.smallest:
            return self.detector(frame)
        height, width = frame.shape[:2]
        found = [np.zeros((0, 4), np.float32)]
        for x, y, side in faces:
            margin = side * (AROUND - 1) / 2
            left, right = max(0, int(x - margin)), min(width, int(x + side + margin))
            top, bottom = max(0, int(y - margin)), min(height, int(y + side + margin))
            if left < right and top < bottom:
                part = frame[top:bottom, left:right]
                shown = _resized(part, self.detector.sure / side)
                found.append(self._placed(shown, shown.shape[1] / (right - left), (left, top)))
        return np.concatenate(found)

    def _placed(self, shown: Frame, scale: float, corner: tuple[float, float]) -> Boxes:
        """The faces of a part of the frame that is shown `scale` times as large as it is."""
        boxes = self.detector(shown) / np.float32(scale)
        return boxes + np.array([*corner, 0, 0], np.float32)

    def _has_changed(self, place: tuple[int, Tile], part: Frame) -> bool:
        """Compares a tile with what it was, and keeps what it is where it is to be shown."""
        size = (max(1, part.shape[1] // CELL), max(1, part.shape[0] // CELL))
        cells = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(cells, cv2.COLOR_RGB2GRAY).astype(np.int16)
        before = self._seen.get(place)
        if before is not None and np.abs(luma - before).max() < CHANGED:
            return False
        self._seen[place] = luma
        return True


def _tiles(image: Frame, overlap: int) -> Iterator[Tile]:
    """Covers the image with tiles of one size that overlap by `overlap` pixels or more."""
    height, width = image.shape[:2]
    for top, bottom in _spans(height, overlap):
        for left, right in _spans(width, overlap):
            yield left, top, right, bottom


def _spans(length: int, overlap: int) -> list[tuple[int, int]]:
    count = 1 if length <= TILE else -(-(length - overlap) // (TILE - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    begins = np.linspace(0, length - size, count).round().astype(int).tolist()
    return [(begin, begin + size) for begin in begins]


def _resized(image: Frame, scale: float) -> Frame:
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    shrinks = size[0] < width
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
