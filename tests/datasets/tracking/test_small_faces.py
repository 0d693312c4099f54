"""Real faces reduced to what a small camera sees of them are found and followed."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.sources.footage import Footage, Frame
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.tracking.crops import face_tracks
from datasets.tracking.detectors import YUNET_SCORE, Detector, build_detector
from datasets.tracking.search import Search
from infra.extraction import Detection

FILMS = ["id000/clip_03.mp4", "id011/clip_01.mpg", "id131/clip_01.mp4"]


@pytest.fixture(scope="module")
def yunet(faces: Path) -> Detector:
    model = faces.parent / "weights" / "yunet_n_320_320.onnx"
    if not model.exists():
        pytest.skip("no YuNet model beside the videos")
    return build_detector(str(model))


def reduced(
    path: Path, name: str, yunet: Detector, face: float, width: int, height: int
) -> list[Frame]:
    """30 frames of a real film, its face `face` pixels wide, before a background of no face."""
    with open_source(Source(f"file://{path / name}", name, "a", "video")) as footage:
        frames = [frame for _, frame in zip(range(30), footage.frames(), strict=False)]
    rows, columns = np.mgrid[:height, :width]
    behind = np.repeat((110 + 60 * np.sin(rows / 37 + columns / 53))[:, :, None], 3, 2)
    scale, made = face / max(Search(yunet, 40).everywhere(frames[25])[:, 2]), []
    for frame in frames:
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = behind.astype(np.uint8)
        picture[100 : 100 + len(small), 200 : 200 + small.shape[1]] = small
        made.append(picture)
    return made


@pytest.mark.parametrize(
    ("name", "face", "width", "height"),
    [*((name, face, 640, 480) for name in FILMS for face in (16, 20)), (FILMS[0], 16, 1920, 1080)],
)
def test_a_small_face_is_one_track_of_the_film_s_own_pixels(
    faces: Path, yunet: Detector, name: str, face: int, width: int, height: int
) -> None:
    frames = reduced(faces / "videos", name, yunet, face, width, height)
    footage = Footage("v", Fraction(25), width, height, lambda: iter(frames))
    rejected: Counter[str] = Counter()
    placed = list(
        face_tracks(
            footage, yunet, Detection("detect", min_face=12), 16, inputs=(16,), rejected=rejected
        )
    )
    assert [each.face.index for each in placed] == list(range(len(frames)))
    assert {each.face.track for each in placed} == {0} and not rejected
    assert {each.native for each in placed} == {16}
    assert all(YUNET_SCORE <= each.face.score <= 1 for each in placed)
    for each in placed:
        x, y, side = each.box
        assert x == int(x) and y == int(y)
        assert 200 < x + side / 2 < 200 + 4 * face and 100 < y + side / 2 < 100 + 4 * face
