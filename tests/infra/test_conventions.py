"""The weights of the degradation, and the control grid, against the libraries that define them."""

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from infra.conventions import LUMA, control_points, degradation_matrix


@pytest.mark.parametrize(("size", "scale", "sigma"), [(128, 8, 2.4), (64, 4, 1.2), (66, 2, 5.0)])
def test_blur_is_scipys_and_is_read_in_the_middle_of_a_block(
    size: int, scale: int, sigma: float
) -> None:
    """low_i = (b_(8i+3) + b_(8i+4)) / 2 of the blurred line b, border mirrored."""
    line = np.random.default_rng(0).random(size)
    blurred = gaussian_filter1d(line, sigma, mode="mirror", truncate=4.0)
    middle = scale // 2
    expected = (blurred[middle - 1 :: scale] + blurred[middle::scale]) / 2
    np.testing.assert_allclose(degradation_matrix(size, scale, sigma) @ line, expected, atol=1e-12)


@pytest.mark.parametrize(("size", "scale"), [(128, 8), (64, 4)])
def test_bicubic_is_pillows(size: int, scale: int) -> None:
    line = np.random.default_rng(1).random((1, size)).astype(np.float32)
    expected = np.asarray(
        Image.fromarray(line).resize((size // scale, 1), Image.Resampling.BICUBIC)
    )
    np.testing.assert_allclose(
        degradation_matrix(size, scale, None) @ line[0], expected[0], atol=1e-5
    )


def test_weights_add_up_and_cannot_be_changed() -> None:
    for sigma in (2.4, None):
        matrix = degradation_matrix(64, 4, sigma)
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 0


def test_luma_is_opencvs() -> None:
    colours = np.random.default_rng(2).integers(0, 256, (4, 4, 3), np.uint8)
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    assert np.abs(colours @ LUMA - grey).max() <= 0.51


def test_control_points_go_row_by_row_from_the_top_left() -> None:
    points = control_points()
    assert points.shape == (64, 2)
    line = np.linspace(-1, 1, 8)
    np.testing.assert_allclose(points, [(x, y) for y in line for x in line], rtol=0, atol=3e-16)
    assert (points == -points[::-1]).all()  # to the last bit
