"""Where in a film faces are looked for, and how large an image of it a detector is shown.

A detector finds faces from some size on (`Detector.smallest`) and takes time by the pixel. So a
frame is shown to it at the scale at which the smallest wanted face is just as large, enlarged where
need be. What is then large is looked through in tiles, and once more shrunk, for the faces that no
tile holds whole. A tile that looks as it did when it was last looked through shows nobody new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sources.footage import Frame
from datasets.tracking.boxes import Square
from datasets.tracking.detectors import Detector, Scored

TILE = 640  # pixels shown at once: a detector's layers of more fall out of a processor's cache
SHRUNK = 4  # of two sizes at which a frame is looked through
# Sides of `smallest` by which tiles overlap, so that faces up to this size are whole in one of
# them; larger ones are `smallest` at least in the shrunk frame.
OVERLAP = 1.25 * SHRUNK
AROUND = 3.0  # sides of a known face: what is shown of its surroundings
# A tile has changed where the mean luma of a square of CELL pixels has, by more than so many
# levels, or where it is dark than this share of the brightest.
CELL, CHANGED, CHANGED_SHARE = 16, 6.0, 0.15

Place = tuple[float, int, int]  # scale, left, top


@dataclass
class Search:
    """The search of `detector` through the frames of one film, for faces of `min_face` pixels and
    more. Boxes are in pixels of the frame; one face may have several, a little apart."""

    detector: Detector
    min_face: int
    _seen: dict[Place, NDArray[np.int16]] = field(default_factory=dict)

    def everywhere(self, frame: Frame, anew: bool = True) -> Scored:
        """The faces of a whole frame. Where this is not `anew`, of the tiles that have changed
        since they were last looked through."""
        if not self.detector.smallest:
            return self.detector(frame)
        if anew:
            self._seen.clear()
        height, width = frame.shape[:2]
        scale, found = self.detector.smallest / self.min_face, [np.zeros((0, 5), np.float32)]
        while True:
            # What a tile shows is enlarged by itself: a whole frame may be enlarged to gigabytes.
            size, overlap = TILE / scale, OVERLAP * self.detector.smallest / scale
            for left, top, right, bottom in _tiles(width, height, size, overlap):
                shown = _resized(frame[top:bottom, left:right], scale)
                if self._has_changed((scale, left, top), shown):
                    found.append(self._placed(shown, scale, (left, top)))
            # Detectors find no face that is much larger than half a tile.
            if max(width, height) * scale <= TILE / 2:
                return np.concatenate(found)
            scale /= SHRUNK

    def around(self, frame: Frame, faces: Sequence[Square]) -> Scored:
        """The faces of the surroundings of the `faces` that are known."""
        if not self.detector.smallest:
            return self.detector(frame)
        height, width = frame.shape[:2]
        found = [np.zeros((0, 5), np.float32)]
        for x, y, side in faces:
            margin = side * (AROUND - 1) / 2
            left, right = max(0, int(x - margin)), min(width, int(x + side + margin))
            top, bottom = max(0, int(y - margin)), min(height, int(y + side + margin))
            if left < right and top < bottom:
                scale = min(max(side, self.detector.sure), self.detector.exact) / side
                shown = _resized(frame[top:bottom, left:right], scale)
                found.append(self._placed(shown, scale, (left, top)))
        return np.concatenate(found)

    def _placed(self, shown: Frame, scale: float, corner: tuple[float, float]) -> Scored:
        """The faces of a part of the frame that is shown `scale` times as large as it is."""
        found = self.detector(shown)
        found[:, :4] /= np.float32(scale)
        found[:, :2] += np.array(corner, np.float32)
        return found

    def _has_changed(self, place: Place, shown: Frame) -> bool:
        """Compares a tile with what it was, and keeps what it is where it is to be shown."""
        size = (max(1, shown.shape[1] // CELL), max(1, shown.shape[0] // CELL))
        cells = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(cells, cv2.COLOR_RGB2GRAY).astype(np.int16)
        before = self._seen.get(place)
        change = min(CHANGED, CHANGED_SHARE * float(luma.max()))
        if before is not None and np.abs(luma - before).max() <= change:
            return False
        self._seen[place] = luma
        return True


def _tiles(
    width: int, height: int, size: float, overlap: float
) -> Iterator[tuple[int, int, int, int]]:
    """Covers a frame with tiles (left, top, right, bottom) of at most `size` pixels a side, all
    alike, that overlap by `overlap` pixels or more; to a pixel."""
    for top, bottom in _spans(height, size, overlap):
        for left, right in _spans(width, size, overlap):
            yield left, top, right, bottom


def _spans(length: int, size: float, overlap: float) -> list[tuple[int, int]]:
    count = 1 if length <= size else ceil((length - overlap) / (size - overlap))
    one = ceil((length + (count - 1) * overlap) / count)
    begins = np.linspace(0, length - one, count).round().astype(int).tolist()
    return [(begin, begin + one) for begin in begins]


def _resized(image: Frame, scale: float) -> Frame:
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    shrinks = size[0] < width
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
