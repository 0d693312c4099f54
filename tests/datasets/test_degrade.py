"""Degradation against SciPy, torch and loops written from the formulas."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.ndimage import gaussian_filter1d, map_coordinates

from datasets.degrade import degrade, degrade_track


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_rounded(low: np.ndarray, exact: np.ndarray) -> None:
    """Each level is within half a level, and float32's error, of the exact value."""
    assert low.dtype == np.uint8
    assert low.shape == exact.shape
    assert np.abs(low - exact.clip(0, 255)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("sigma", [0.7, 2.4])
def test_blur_regime_is_scipys_gaussian_sampled_at_block_centres(scale: int, sigma: float) -> None:
    """low[i, j] = (G_σ * high)(scale·i + (scale − 1)/2, scale·j + (scale − 1)/2), border mirrored
    without the edge, kernel cut at 4σ."""
    high = picture(8 * scale, 5 * scale)
    blurred = high.astype(np.float64)
    for axis in (0, 1):
        blurred = gaussian_filter1d(blurred, sigma, axis=axis, mode="mirror", truncate=4.0)
    rows, columns = (scale * np.arange(n) + (scale - 1) / 2 for n in (8, 5))
    where = np.meshgrid(rows, columns, indexing="ij")
    exact = np.stack([map_coordinates(blurred[..., c], where, order=1) for c in range(3)], -1)
    assert_rounded(degrade(high, scale, sigma), exact)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sigma", [2.4, None])
def test_low_pixel_i_sits_at_8i_and_three_and_a_half(axis: int, sigma: float | None) -> None:
    """A ramp of one level a pixel keeps its values: low[i] = 8i + 3.5 away from the border."""
    ramp = np.arange(128) if axis == 0 else np.arange(128)[None].T
    high = np.broadcast_to(ramp[None, :] if axis == 0 else ramp, (128, 128))
    high = np.repeat(high[..., None], 3, -1).astype(np.uint8)
    low = degrade(high, 8, sigma).astype(float)
    line = low[8, :, 1] if axis == 0 else low[:, 8, 1]
    # Half levels round to even, which is why the comparison allows half a level and no more.
    inside = slice(2, 14)
    assert np.abs(line - (8 * np.arange(16) + 3.5))[inside].max() <= 0.5


def test_centre_is_exact_to_a_fraction_of_a_level() -> None:
    """A ramp of two levels a pixel has 2·(8i + 3.5) = 16i + 7 at the centres: no rounding."""
    high = np.repeat((2 * np.arange(128, dtype=np.uint8))[None, :, None], 128, 0).repeat(3, 2)
    assert_array_equal(degrade(high, 8, 2.4)[5, 2:14, 0], 16 * np.arange(2, 14) + 7)


def keys(t: float) -> float:
    """Keys' cubic, a = −1/2: (a+2)|t|³ − (a+3)|t|² + 1 below 1, a|t|³ − 5a|t|² + 8a|t| − 4a below
    2, else 0."""
    a, t = -0.5, abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def bicubic_line(line: list[float], scale: int) -> list[float]:
    result = []
    for i in range(len(line) // scale):
        centre = scale * i + (scale - 1) / 2
        weights = [keys((j - centre) / scale) for j in range(len(line))]
        total = sum(w * value for w, value in zip(weights, line, strict=True))
        result.append(total / sum(weights))
    return result


@pytest.mark.parametrize("scale", [3, 4])
def test_bicubic_regime_is_the_stretched_cubic(scale: int) -> None:
    """low[i] = Σ k((j − c_i)/scale) high[j] / Σ k((j − c_i)/scale), rows then columns."""
    high = picture(6 * scale, 4 * scale, 1)
    for channel in range(3):
        rows = [bicubic_line(list(map(float, row)), scale) for row in high[..., channel]]
        columns = [bicubic_line(list(column), scale) for column in zip(*rows, strict=True)]
        exact = np.array(columns).T
        assert_rounded(degrade(high, scale, None)[..., channel], exact)


def test_bicubic_regime_is_torchs_antialiased_resize() -> None:
    torch = pytest.importorskip("torch")
    high = picture(128, 128, 2)
    planes = torch.from_numpy(high).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(
        planes, (32, 32), mode="bicubic", antialias=True, align_corners=False
    )
    assert_rounded(degrade(high, 4, None), expected[0].permute(1, 2, 0).numpy())


def test_track_is_frame_by_frame_and_channels_stay_apart() -> None:
    track = np.stack([picture(32, 64, seed) for seed in range(3)])
    low = degrade_track(track, 8, 2.4)
    assert low.shape == (3, 4, 8, 3)
    for frame, expected in zip(track, low, strict=True):
        assert_array_equal(degrade(frame, 8, 2.4), expected)
        assert_array_equal(degrade(frame[..., ::-1], 8, 2.4), expected[..., ::-1])


@pytest.mark.parametrize("level", [0, 7, 255])
@pytest.mark.parametrize("sigma", [2.4, None])
def test_a_flat_picture_stays_flat(level: int, sigma: float | None) -> None:
    assert set(degrade(np.full((64, 64, 3), level, np.uint8), 8, sigma).ravel()) == {level}


@pytest.mark.parametrize(
    ("high", "scale", "sigma", "message"),
    [
        (np.zeros((16, 16, 3), np.float32), 8, 2.4, "expected uint8"),
        (np.zeros((16, 16), np.uint8), 8, 2.4, "H×W×3"),
        (np.zeros((16, 16, 4), np.uint8), 8, 2.4, "RGB"),
        (np.zeros((16, 20, 3), np.uint8), 8, 2.4, "16×20 is not a multiple of scale 8"),
        (np.zeros((0, 16, 3), np.uint8), 8, 2.4, "not a multiple"),
        (np.zeros((16, 16, 3), np.uint8), 0, 2.4, "scale"),
        (np.zeros((16, 16, 3), np.uint8), 8, 0.0, "blur_sigma"),
        (np.zeros((16, 16, 3), np.uint8), 8, float("nan"), "blur_sigma"),
    ],
)
def test_bad_input_is_refused(high: np.ndarray, scale: int, sigma: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        degrade(high, scale, sigma)
