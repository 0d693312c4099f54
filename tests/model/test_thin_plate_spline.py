"""The dense field against SciPy, and what a thin-plate spline must reproduce exactly."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from model.layers.warping import warp
from model.objectives.known_motion import random_shifts
from model.thin_plate_spline import (
    between,
    control_points,
    dense_field,
    displacement_at,
    mirrored,
    pixel_centres,
)


def identity(height: int, width: int) -> torch.Tensor:
    return pixel_centres(height, width).view(1, height, width, 2)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (128, 128), (24, 40)])
def test_equals_scipy_thin_plate_spline(height: int, width: int) -> None:
    """Field = identity + Σ w_j U(|p - c_j|) + a·(1, p), as RBFInterpolator(thin_plate_spline)."""
    line = np.linspace(-1, 1, 8)
    controls = np.array([(x, y) for y in line for x in line])
    shifts = np.random.default_rng(1).normal(scale=0.1, size=(64, 2))
    x = (2 * np.arange(width) + 1) / width - 1
    y = (2 * np.arange(height) + 1) / height - 1
    points = np.array([(a, b) for b in y for a in x])
    expected = RBFInterpolator(controls, shifts, kernel="thin_plate_spline")(points) + points
    field = dense_field(torch.from_numpy(shifts)[None], height, width)
    assert np.abs(field[0].numpy().reshape(-1, 2) - expected).max() < 1e-9
    single = dense_field(torch.from_numpy(shifts)[None].float(), height, width)
    assert single.dtype == torch.float32
    assert np.abs(single[0].numpy().reshape(-1, 2) - expected).max() < 1e-6


def test_zero_shifts_read_every_pixel_in_its_place() -> None:
    field = dense_field(torch.zeros(2, 64, 2, dtype=torch.float64), 10, 14)
    assert torch.equal(field, identity(10, 14).expand(2, -1, -1, -1))


def test_affine_shifts_give_the_affine_field() -> None:
    """d(p) = M p + t for shifts s_j = M c_j + t, whatever the kernel."""
    matrix, offset = torch.randn(2, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    shifts = control_points() @ matrix.T + offset
    expected = identity(9, 11) @ (torch.eye(2) + matrix).T + offset
    assert (dense_field(shifts[None], 9, 11) - expected).abs().max() < 1e-10


def test_control_points_move_by_exactly_their_shifts() -> None:
    shifts = torch.randn(3, 64, 2, dtype=torch.float64)
    assert (displacement_at(shifts, control_points()) - shifts).abs().max() < 1e-10


def test_each_spline_can_be_asked_at_points_of_its_own() -> None:
    shifts, points = torch.randn(3, 64, 2), torch.rand(3, 9, 2) * 3 - 1.5
    found = displacement_at(shifts, points)
    for one, other, at in zip(found, shifts, points, strict=True):
        assert torch.allclose(one, displacement_at(other[None], at)[0], atol=1e-6)


def test_reading_commutes_with_mirroring() -> None:
    """warp(mirror(image), mirrored shifts) = mirror(warp(image, shifts))."""
    images, shifts = torch.rand(2, 3, 16, 16), 0.2 * torch.randn(2, 64, 2)
    there = warp(images.flip(-1), dense_field(mirrored(shifts), 16, 16))
    assert torch.allclose(there, warp(images, dense_field(shifts, 16, 16)).flip(-1), atol=1e-5)
    assert torch.equal(mirrored(mirrored(shifts)), shifts)


def test_between_two_frames_leads_from_one_to_the_other() -> None:
    """p + d(p) + b(p + d(p)) = p + e(p) for b between d and e: exact where affine, else as near as
    64 points tell, a fiftieth of a low pixel of 16 within the frame."""
    matrices = torch.eye(2) + 0.1 * torch.randn(2, 4, 2, 2).double()
    offsets = 0.1 * torch.randn(2, 4, 1, 2).double()
    points = control_points()
    affine = points @ matrices + offsets - points
    smooth = random_shifts(8, 16, generator=torch.Generator().manual_seed(0)).view(2, 4, 64, 2)
    for (one, other), close in ((affine, 1e-4), (smooth.double(), 0.02 / 8)):
        at = 1.6 * torch.rand(4, 50, 2).double() - 0.8
        there = at + displacement_at(one, at)
        rest = there + displacement_at(between(one, other), there) - at - displacement_at(other, at)
        assert rest.norm(dim=-1).mean() < close
    still = torch.zeros_like(affine[0])
    assert torch.allclose(between(still, affine[1]), affine[1])


def test_control_points_run_row_by_row_from_the_top_left() -> None:
    points = control_points()
    assert points[0].tolist() == [-1, -1]
    assert points[7].tolist() == [1, -1]
    assert points[56].tolist() == [-1, 1]
    assert points[1, 0] > points[0, 0] and points[1, 1] == points[0, 1]


def test_mirrored_shifts_give_the_mirrored_field() -> None:
    """x(p') = -x(p) and y(p') = y(p) at p' = (-p_x, p_y); twice is as before."""
    shifts = 0.2 * torch.randn(3, 64, 2, dtype=torch.float64)
    field = dense_field(shifts, 12, 10)
    expected = field.flip(2) * torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(dense_field(mirrored(shifts), 12, 10), expected)
    assert torch.equal(mirrored(mirrored(shifts)), shifts)
    assert mirrored(shifts[0, None, None]).shape == (1, 1, 64, 2)


def test_gradient_in_float64() -> None:
    shifts = torch.randn(2, 64, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: dense_field(value, 3, 4), (shifts,))


def test_stays_float32_in_autocast() -> None:
    shifts = 0.1 * torch.randn(1, 64, 2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = dense_field(shifts, 16, 16)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, dense_field(shifts, 16, 16))


def test_matrix_made_in_inference_serves_training() -> None:
    with torch.inference_mode():
        dense_field(torch.zeros(1, 64, 2), 13, 13)
    shifts = torch.zeros(1, 64, 2, requires_grad=True)
    dense_field(shifts, 13, 13).sum().backward()
    assert shifts.grad is not None


def test_wrong_shape_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match="B×64×2"):
        dense_field(torch.zeros(1, 2, 64), 8, 8)


def test_control_points_are_made_once_a_device() -> None:
    """A copy from the host in a step is one that a GPU is waited for."""
    assert control_points(torch.float32) is control_points(torch.float32)
    there = control_points(torch.float32, torch.device("meta"))
    assert there.device.type == "meta"
    assert there is control_points(torch.float32, torch.device("meta"))
