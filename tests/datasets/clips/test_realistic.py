"""The realistic degradation against SciPy, moments, and the statistics of its formulas."""

import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from datasets.clips import realistic
from datasets.clips.realistic import Recipe, blur_kernel, degrade_clip, draw, film

PLAIN = Recipe(
    sigma=0.3, sigma_across=0.3, angle=0.0, defocus=0.0, motion=0.0, motion_angle=0.0, camera=16,
    shot=0.0, read=0.0, codec="h264", quality=0, left=4, top=9,
)  # fmt: skip


def clip(count: int = 5, size: int = 64) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.stack([np.roll(picture, i, 1) for i in range(count)])


def moments(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (x, y) and the covariance of a point spread, in pixels."""
    radius = kernel.shape[0] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    mean = np.array([(kernel * x).sum(), (kernel * y).sum()])
    pairs = [[x * x, x * y], [x * y, y * y]]
    return mean, np.array([[(kernel * p).sum() for p in row] for row in pairs]) - np.outer(
        mean, mean
    )


@settings(max_examples=40)
@given(
    sigma=st.floats(0.2, 0.5), round_=st.floats(0.6, 1), angle=st.floats(0, 180),
    defocus=st.sampled_from([0.0, 0.4, 0.8]), motion=st.sampled_from([0.0, 0.5, 1.0]),
    motion_angle=st.floats(0, 180), scale=st.sampled_from([4, 8]),
)  # fmt: skip
def test_the_point_spread_has_the_moments_of_its_parts(
    sigma: float, round_: float, angle: float, defocus: float, motion: float, motion_angle: float,
    scale: int,
) -> None:  # fmt: skip
    """Covariances of convolved spreads add: R diag(σ², σ′²) Rᵀ of the Gaussian, r²/4·I of a disc
    of radius r, l²/12·uuᵀ of a line of length l along u; and none moves the picture."""
    recipe = replace(
        PLAIN, sigma=sigma, sigma_across=sigma * round_, angle=angle, defocus=defocus,
        motion=motion, motion_angle=motion_angle,
    )  # fmt: skip
    kernel = blur_kernel(recipe, scale).astype(float)
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wanted = rotation @ np.diag([sigma**2, (sigma * round_) ** 2]) @ rotation.T
    wanted += np.eye(2) * defocus**2 / 4
    way = np.deg2rad(motion_angle)
    wanted += motion**2 / 12 * np.outer(*[[np.cos(way), np.sin(way)]] * 2)
    mean, covariance = moments(kernel)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(mean).max() < 1e-5
    # On a grid of pixels discs and lines are wider, by about a sixth of a pixel squared each.
    assert np.abs(covariance - wanted * scale**2).max() < 0.5


def test_without_noise_and_codec_it_is_blurred_light_averaged_over_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """low = 255·√(mean over 4×4 of G_σ ∗ (high/255)²), border mirrored without the edge."""
    monkeypatch.setattr(realistic, "compress", lambda frames, *_: frames)
    high = clip(2)
    low = film(high, 4, replace(PLAIN, sigma=0.4, sigma_across=0.4), np.random.default_rng(0))
    light = (high / 255.0) ** 2
    for axis in (1, 2):
        light = gaussian_filter1d(light, 1.6, axis=axis, mode="mirror", truncate=4)
    exact = 255 * np.sqrt(light.reshape(2, 16, 4, 16, 4, 3).mean((2, 4)))
    assert np.abs(low - exact).max() < 1.0


@pytest.mark.parametrize("grey", [40, 128, 220])
def test_noise_has_the_variance_of_light(grey: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In linear light x = (v/255)² the variance is read + shot·x, and that of rounding v,
    (2v/255²)²/12."""
    monkeypatch.setattr(realistic, "compress", lambda frames, *_: frames)
    recipe = replace(PLAIN, shot=2e-3, read=1e-5)
    low = film(np.full((9, 64, 64, 3), grey, np.uint8), 4, recipe, np.random.default_rng(5))
    seen = (low / 255.0) ** 2
    light = (grey / 255) ** 2
    wanted = 1e-5 + 2e-3 * light + (2 * grey / 255**2) ** 2 / 12
    assert seen.var() == pytest.approx(wanted, rel=0.06)
    assert seen.mean() == pytest.approx(light, rel=0.01)


@pytest.mark.parametrize("camera", [12, 16, 20, 24])
@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_nothing_moves_the_picture(camera: int, codec: str) -> None:
    """The centroid of a spot at high (25, 37.5) comes out at low 25/4, 37.5/4, to a tenth."""
    rows, columns = np.mgrid[:64, :64] + 0.5
    spot = np.exp(-((rows - 25) ** 2 + (columns - 37.5) ** 2) / (2 * 7**2))
    high = np.rint(20 + 200 * spot)[None, :, :, None].repeat(5, 0).repeat(3, 3).astype(np.uint8)
    recipe = replace(
        PLAIN, camera=camera, codec=codec, quality=8 if codec == "h264" else 97, defocus=0.5,
        motion=0.8, motion_angle=30.0,
    )  # fmt: skip
    low = film(high, 4, recipe, np.random.default_rng(0))
    assert low.shape == (5, 16, 16, 3)
    weight = (low[2, :, :, 1].astype(float) - 40).clip(0)
    centre = [(weight * (axis + 0.5)).sum() / weight.sum() for axis in np.mgrid[:16, :16]]
    assert centre == pytest.approx([25 / 4, 37.5 / 4], abs=0.1)


def test_one_seed_gives_the_same_bytes_and_another_does_not() -> None:
    """Several times over: with its macroblock tree x264 was seen to differ in one of thirty."""
    first = [degrade_clip(clip(), 4, seed) for seed in range(10)]
    for _ in range(4):
        for seed, (low, recipe) in enumerate(first):
            again, same = degrade_clip(clip(), 4, seed)
            assert again.tobytes() == low.tobytes()
            assert same == recipe
    assert len({low.tobytes() for low, _ in first}) == len(first)


def test_a_recipe_is_written_as_it_is_and_makes_the_same_film_again() -> None:
    """What the shard records is enough: the low frames follow from it, but for the noise."""
    high = clip()
    low, recipe = degrade_clip(high, 4, 3)
    back = Recipe(**json.loads(json.dumps(asdict(recipe))))
    assert back == recipe
    generator = np.random.default_rng(3)
    draw(generator, 16)
    assert film(high, 4, back, generator).tobytes() == low.tobytes()
