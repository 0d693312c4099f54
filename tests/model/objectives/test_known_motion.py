"""Pairs with known motion: degradation, truth of the field, determinism, size of the motion."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from datasets.degrade import degrade_track
from model.layers.warping import warp
from model.metrics import end_point_error
from model.objectives.known_motion import add_noise, degrade, make_burst, random_shifts
from model.thin_plate_spline import control_points, dense_field


def smooth_faces(count: int, size: int) -> torch.Tensor:
    small = torch.rand(count, 3, size // 8, size // 8)
    return torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(0.1, 0.9)


@pytest.mark.parametrize(("scale", "sigma"), [(8, 2.4), (4, 1.2)])
def test_degradation_is_scipys_blur_sampled_at_block_centres(scale: int, sigma: float) -> None:
    """Blur with mirrored border, then the mean of the four pixels about the centre of each block;
    half a level where the order of the sums decides the rounding."""
    images = np.random.default_rng(0).random((2, 3, 40, 40))
    blurred = gaussian_filter(images, (0, 0, sigma, sigma), mode="mirror")
    first = scale // 2 - 1
    rows = (blurred[:, :, first::scale] + blurred[:, :, first + 1 :: scale]) / 2
    expected = (rows[..., first::scale] + rows[..., first + 1 :: scale]) / 2
    low = degrade(torch.from_numpy(images), scale, sigma).numpy()
    assert np.abs(low - expected).max() < 0.5 / 255 + 1e-9


@pytest.mark.parametrize("scale", [8, 4])
def test_low_pixels_sit_at_the_centres_of_their_blocks(scale: int) -> None:
    """A ramp x gives scale·i + (scale - 1) / 2 away from the border; up to 8-bit rounding."""
    ramp = torch.arange(64.0).div(64).expand(1, 3, 64, 64)
    low = degrade(ramp, scale)
    expected = (scale * torch.arange(64 // scale) + (scale - 1) / 2) / 64
    inside = slice(2, -2)
    assert (low[0, 0, 0, inside] - expected[inside]).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(("size", "scale", "sigma"), [(128, 8, 2.4), (64, 4, 1.2), (64, 2, None),
                                                      (128, 8, None)])  # fmt: skip
def test_degradation_is_that_of_stored_clips(size: int, scale: int, sigma: float | None) -> None:
    """`datasets.degrade` on bytes with float32 weights, here on tensors in float64: not one level
    apart in more than a thousandth of the pixels, where a value lies half-way between two."""
    high = np.random.default_rng(size).integers(0, 256, (2, size, size, 3), np.uint8)
    stored = degrade_track(high, scale, sigma).astype(int)
    low = degrade(torch.from_numpy(high).movedim(-1, 1) / 255, scale, sigma).movedim(1, -1)
    apart = np.abs(low.mul(255).round().numpy().astype(int) - stored)
    assert apart.max() <= 1
    assert apart.mean() < 1e-3


def test_bicubic_regime_keeps_a_constant() -> None:
    low = degrade(torch.full((1, 3, 32, 32), 0.4), 4, None)
    assert low.shape == (1, 3, 8, 8)
    assert (low - 0.4).abs().max() <= 0.5 / 255 + 1e-6


def test_true_field_takes_the_adjacent_frame_to_the_central_one() -> None:
    """warp(adjacent, field of the true shifts) is nearer to the central frame by far."""
    faces = smooth_faces(16, 64)
    burst = make_burst(faces, 4, blur_sigma=1.2, generator=torch.Generator().manual_seed(1))
    inner = (..., slice(2, -2), slice(2, -2))
    # The exposure differs; take it out to judge the place alone.
    adjacent = burst.adjacent - burst.adjacent[inner].mean((-1, -2), keepdim=True)
    central = burst.central - burst.central[inner].mean((-1, -2), keepdim=True)
    moved = warp(adjacent, dense_field(burst.shifts, 16, 16))
    after = (moved - central)[inner].square().mean()
    before = (adjacent - central)[inner].square().mean()
    assert after < 0.35 * before


def test_same_seed_gives_the_same_pairs() -> None:
    faces = smooth_faces(2, 32)
    one, two, other = (
        make_burst(faces, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.shifts, other.shifts)


@pytest.mark.parametrize("low_size", [16, 8])
def test_motion_is_of_the_size_of_real_tracks(low_size: int) -> None:
    shifts = random_shifts(500, low_size, generator=torch.Generator().manual_seed(0))
    still = torch.zeros_like(shifts)
    error = end_point_error(
        dense_field(shifts, low_size, low_size), dense_field(still, low_size, low_size)
    )
    assert 0.45 < float(error.mean()) < 0.6


def test_some_backgrounds_stand_still_but_for_the_step_of_the_whole_frame() -> None:
    """About 0.3 of the splines are constant over the corners; 0.7 of those do not move there."""
    shifts = 8 * random_shifts(2000, 16, generator=torch.Generator().manual_seed(0))
    corners = shifts[:, [0, 7, 56, 63]]
    same = (corners - corners[:, :1]).abs().amax((1, 2)) < 1e-6
    still = corners.abs().amax((1, 2)) < 1e-6
    assert 0.25 < same.float().mean() < 0.35
    assert 0.6 < (still.sum() / same.sum()) < 0.8
    middle = control_points().norm(dim=-1) < 0.3
    assert shifts[still][:, middle].abs().mean() > 0.1
    assert corners[same].abs().max() <= 0.7 + 1e-6


def test_half_of_the_frames_have_noise_of_a_few_levels() -> None:
    """Variance (up to 1.5 levels)² of each pixel and as much of each 2×2 block, then rounding."""
    low = torch.full((2000, 3, 16, 16), 100 / 255)
    noise = 255 * (add_noise(low, torch.Generator().manual_seed(0)) - low)
    deviation = noise.std((1, 2, 3))
    assert (noise - noise.round()).abs().max() < 1e-3
    assert 0.5 < (deviation < 0.3).float().mean() < 0.65
    assert 2.0 < deviation.max() < 1.5 * 2**0.5 * 1.15
    strong = noise[deviation > 1.5]
    inside = (strong[..., 0::2] * strong[..., 1::2]).mean() / strong.square().mean()
    across = (strong[..., 1:-1:2] * strong[..., 2::2]).mean() / strong.square().mean()
    assert 0.4 < inside < 0.6 and abs(across) < 0.1
