from fractions import Fraction

import cv2
import numpy as np
import pytest

from datasets.sources.footage import Footage
from datasets.tracking.crops import crop, face_tracks, track_crops
from infra.extraction import Detection
from tests.support.media import bright_detector, moving_square

PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 3
)


def ramp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 20 + 1.3 * x + 0.7 * y


def ramp_frame() -> np.ndarray:
    """A plane, whose value at any sub-pixel point and area mean are known."""
    rows, columns = np.mgrid[:80, :100]
    plane = ramp(columns + 0.5, rows + 0.5)
    return np.repeat(plane[:, :, None], 3, 2).round().astype(np.uint8)


@pytest.mark.parametrize("box", [(10.3, 7.8, 40.0), (20.25, 11.5, 51.7), (30.6, 20.1, 12.3)])
def test_pixels_lie_where_the_box_says_to_a_fraction(box: tuple[float, float, float]) -> None:
    """Pixel (u, v) of n×n is the mean of the plane over its area: its value at the area's centre,
    (x + (u + 1/2)·side/n, y + (v + 1/2)·side/n). Half a pixel of shift would be an error of 1."""
    x, y, side = box
    for size in (8, 16, 24):
        centres = (np.arange(size) + 0.5) * side / size
        wanted = ramp(x + centres[None, :], y + centres[:, None])
        got = crop(ramp_frame(), box, size)[:, :, 1].astype(float)
        assert np.abs(got - wanted).max() < 1.1
        assert abs((got - wanted).mean()) < 0.3


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_whole_boxes_and_ratios_are_an_area_resize(ratio: int) -> None:
    side = 24 * ratio
    wanted = cv2.resize(PICTURE[5 : 5 + side, 9 : 9 + side], (24, 24), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crop(PICTURE, (9, 5, side), 24), wanted)


def test_shrinking_does_not_alias() -> None:
    """Stripes one pixel wide average to grey; sampled at points they would beat."""
    stripes = np.zeros((96, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(crop(stripes, (3.3, 4.1, 80.7), 16).astype(int)) < 60


def test_outside_of_the_frame_is_its_reflection() -> None:
    whole = crop(PICTURE, (-10, -10, 40), 40)
    padded = cv2.copyMakeBorder(PICTURE, 10, 10, 10, 10, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(whole, padded[:40, :40])
    assert crop(PICTURE, (-300, -300, 700), 16).shape == (16, 16, 3)


def test_a_box_without_a_side_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        crop(PICTURE, (3, 3, 0), 16)


def footage(frames: list[np.ndarray]) -> Footage:
    return Footage("v", Fraction(25), frames[0].shape[1], frames[0].shape[0], lambda: iter(frames))


def test_crops_hold_the_face_still_while_it_moves() -> None:
    film, riding = footage(moving_square(31, 1)), Detection(grid="face", min_face=20, context=1)
    faces = face_tracks(film, bright_detector, riding, 8)
    crops = list(track_crops(faces, 32))
    assert [c.index for c in crops] == list(range(31))
    assert crops[-1].last
    assert all(np.abs(c.image[4:-4, 4:-4].astype(int) - (230, 200, 170)).max() < 8 for c in crops)


def test_aligned_footage_is_its_own_crop() -> None:
    frames = [PICTURE[:96, :96]] * 2
    crops = list(track_crops(face_tracks(footage(frames), None, Detection(), 16), 96))
    assert len(crops) == 2
    np.testing.assert_array_equal(crops[0].image, frames[0])
