"""Metrics against skimage and by hand."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from model.metrics import (
    central_view,
    end_point_error,
    feature_distances,
    psnr_luma,
    unit_layers,
)
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


def test_central_view_is_224_of_256_pixels() -> None:
    """A ramp of 128 pixels: column j of 256 shows (j + 0.5) / 2 − 0.5, and columns 16 to 239 are
    kept. For another input size the same part of the picture is shown."""
    ramp = torch.arange(128.0).expand(1, 3, 128, 128) / 127
    view = central_view(ramp, 224)
    assert view.shape == (1, 3, 224, 224)
    expected = ((torch.arange(16, 240) + 0.5) / 2 - 0.5) / 127
    assert torch.allclose(view[0, 0, 50], expected, atol=1e-5)
    small = central_view(ramp, 56)[0, 0, 20]
    assert float(small[0]) == pytest.approx(float(view[0, 0, 50, :4].mean()), abs=0.002)
    assert float(small[-1]) == pytest.approx(float(view[0, 0, 50, -4:].mean()), abs=0.002)


def test_feature_distances_are_of_unit_vectors() -> None:
    recogniser = FaceRecogniser(5, width=0.05, input_size=32, fc_width=12).eval()
    one, two = torch.rand(2, 2, 3, 32, 32)
    units = [unit_layers(recogniser, images, ["pool3", "fc7"]) for images in (one, two)]
    given = feature_distances(*units)
    maps = [
        recogniser.forward_to(central_view(images, 32), {"pool3"})["pool3"]
        .detach()
        .numpy()
        .reshape(2, -1)
        for images in (one, two)
    ]
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in maps]
    expected = np.linalg.norm(unit[0] - unit[1], axis=1)
    assert np.allclose(given["pool3"].numpy(), expected, atol=1e-5)
    descriptor = recogniser.descriptor(central_view(one, 32)).detach()
    assert torch.allclose(units[0]["fc7"], descriptor, atol=1e-6)
    assert all((value <= 2).all() for value in given.values())


def test_end_point_error_is_in_pixels_of_the_grid() -> None:
    """Off by 3 pixels across and 4 down everywhere: 5."""
    field = torch.zeros(2, 8, 16, 2)
    other = field + torch.tensor([3 * 2 / 16, 4 * 2 / 8])
    assert torch.allclose(end_point_error(field, other), torch.full((2,), 5.0))
