"""Metrics against skimage and by hand."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from model.metrics import end_point_error, feature_distances, psnr_luma
from model.perceptual import FaceRecogniser


def test_psnr_equals_skimage_on_luma() -> None:
    """Y = 0.299 R + 0.587 G + 0.114 B, peak 1."""
    one, two = np.random.default_rng(0).random((2, 3, 3, 16, 16))
    weights = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    given = psnr_luma(torch.from_numpy(one), torch.from_numpy(two))
    for index in range(3):
        expected = peak_signal_noise_ratio(
            (two[index] * weights).sum(0), (one[index] * weights).sum(0), data_range=1.0
        )
        assert float(given[index]) == pytest.approx(expected, abs=1e-9)


def test_equal_images_give_a_finite_figure() -> None:
    image = torch.rand(1, 3, 4, 4)
    assert float(psnr_luma(image, image)) == pytest.approx(100)


def test_feature_distances_are_of_unit_vectors() -> None:
    recogniser = FaceRecogniser(5, width=0.05, input_size=32, fc_width=12).eval()
    one, two = torch.rand(2, 2, 3, 32, 32)
    given = feature_distances(recogniser, one, two, ["pool3", "fc7"])
    maps = [
        recogniser.forward_to(images, {"pool3"})["pool3"].detach().numpy().reshape(2, -1)
        for images in (one, two)
    ]
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in maps]
    expected = np.linalg.norm(unit[0] - unit[1], axis=1)
    assert np.allclose(given["pool3"].numpy(), expected, atol=1e-5)
    assert given["fc7"].shape == (2,)
    assert all((value <= 2).all() for value in given.values())


def test_end_point_error_is_in_pixels_of_the_grid() -> None:
    """Off by 3 pixels across and 4 down everywhere: 5."""
    field = torch.zeros(2, 8, 16, 2)
    other = field + torch.tensor([3 * 2 / 16, 4 * 2 / 8])
    assert torch.allclose(end_point_error(field, other), torch.full((2,), 5.0))
