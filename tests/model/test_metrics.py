"""Metrics against skimage and by hand."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from skimage.metrics import peak_signal_noise_ratio
from skimage.transform import downscale_local_mean

from datasets.degrade import degrade_track
from model.metrics import (
    central_view,
    consistency,
    end_point_error,
    feature_distances,
    psnr_luma,
    unit_layers,
)
from model.perceptual import FaceRecogniser
from model.pixels import to_pixels


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


def blurred_and_sampled(image: np.ndarray, sigma: float) -> np.ndarray:
    """One colour 32×32 → 8×8: Gaussian, border mirrored without the edge, at 4i + 1.5."""
    for axis in (0, 1):
        image = gaussian_filter1d(image, sigma, axis=axis, mode="mirror", truncate=4.0)
    rows = (image[1::4] + image[2::4]) / 2
    return (rows[:, 1::4] + rows[:, 2::4]) / 2


@pytest.mark.parametrize("sigma", [1.2, None])
def test_consistency_equals_skimage_on_what_scipy_makes_small(sigma: float | None) -> None:
    draw = np.random.default_rng(0)
    restored, low = draw.random((3, 3, 32, 32)), draw.random((3, 3, 8, 8))
    given = consistency(torch.from_numpy(restored), torch.from_numpy(low), sigma)
    weights = np.array([0.299, 0.587, 0.114])
    for image, truth, value in zip(restored, low, given, strict=True):
        small = [
            downscale_local_mean(c, (4, 4)) if sigma is None else blurred_and_sampled(c, sigma)
            for c in image
        ]
        expected = peak_signal_noise_ratio(
            np.tensordot(weights, truth, 1), np.tensordot(weights, small, 1), data_range=1.0
        )
        assert float(value) == pytest.approx(expected, abs=1e-9)


def test_the_truth_is_consistent_with_its_stored_input_to_a_rounding() -> None:
    """Luma of errors even within half a level: 10 log₁₀(12 · 255² / Σ w²) = 62.4 dB."""
    high = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    images, low = (
        to_pixels(torch.from_numpy(stored), torch.device("cpu"))
        for stored in (high, degrade_track(high, 4, 1.2))
    )
    assert consistency(images, low, 1.2).numpy() == pytest.approx(62.4, abs=0.8)
    # Another blur is seen.
    assert consistency(images, low, 2.4).max() < 35


def test_equal_images_are_consistent_by_100_db() -> None:
    for sigma in (1.2, None):
        given = consistency(torch.full((2, 3, 16, 16), 0.3), torch.full((2, 3, 4, 4), 0.3), sigma)
        assert given.tolist() == [100, 100]


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (2, 3, 18, 18), (2, 3, 2, 2), (2, 3, 16, 8)])
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="as many images as low"):
        consistency(torch.zeros(shape), torch.zeros(2, 3, 4, 4), 1.2)


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
