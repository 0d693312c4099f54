"""M: bilinear reading through a field."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from model.layers.warping import warp
from model.thin_plate_spline import dense_field


def test_equals_scipy_bilinear_with_border_repeated() -> None:
    """Pixel coordinate of a normalised x is ((x + 1) n - 1) / 2; outside, the border is read."""
    generator = np.random.default_rng(0)
    image = generator.normal(size=(12, 9))
    field = generator.uniform(-1.3, 1.3, size=(7, 5, 2))
    rows = ((field[..., 1] + 1) * 12 - 1) / 2
    columns = ((field[..., 0] + 1) * 9 - 1) / 2
    expected = map_coordinates(image, [rows, columns], order=1, mode="nearest")
    given = warp(torch.from_numpy(image)[None, None], torch.from_numpy(field)[None])
    assert np.abs(given[0, 0].numpy() - expected).max() < 1e-12


def test_shift_by_one_pixel_reads_the_right_neighbour() -> None:
    image = torch.rand(1, 2, 8, 8)
    shifts = torch.zeros(1, 64, 2)
    shifts[..., 0] = 2 / 8
    moved = warp(image, dense_field(shifts, 8, 8))
    assert torch.allclose(moved[..., :-1], image[..., 1:], atol=1e-6)
    assert torch.allclose(moved[..., -1], image[..., -1], atol=1e-6)


def test_gradient_of_features_and_shifts_in_float64() -> None:
    features = torch.rand(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    shifts = (0.03 + 0.02 * torch.rand(1, 64, 2, dtype=torch.float64)).requires_grad_()

    def through(image: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
        return warp(image, dense_field(moved, 4, 4))

    assert torch.autograd.gradcheck(through, (features, shifts))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_stays_float32_in_autocast(half: torch.dtype) -> None:
    image, field = torch.rand(1, 4, 16, 16), dense_field(0.05 * torch.randn(1, 64, 2), 16, 16)
    outside = warp(image, field)
    with torch.autocast("cpu", half):
        inside = warp(image, field)
        from_half = warp(image.to(half), field)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)
    assert torch.equal(from_half, warp(image.to(half).float(), field))
