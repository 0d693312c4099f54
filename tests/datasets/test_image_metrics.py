"""SSIM, consistency with the input and temporal difference against independent references."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio

from datasets.degrade import degrade
from datasets.image_metrics import consistency, motion, ssim_luma, temporal_difference

WEIGHTS = (0.299, 0.587, 0.114)


@pytest.fixture(scope="module")
def face() -> NDArray[np.uint8]:
    """A public-domain portrait, 64×64."""
    return cv2.resize(astronaut()[0:200, 130:330], (64, 64), interpolation=cv2.INTER_AREA)


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return sum(weight * picture[..., i].astype(float) for i, weight in enumerate(WEIGHTS))  # type: ignore[return-value]


def test_ssim_is_that_of_the_paper(face: NDArray[np.uint8]) -> None:
    """SSIM = (2 μx μy + c1)(2 σxy + c2) / ((μx² + μy² + c1)(σx² + σy² + c2)), Gaussian window of
    σ 1.5 and radius 5, c1 = (0.01·255)², c2 = (0.03·255)², mean 5 pixels inside the border."""
    other = cv2.GaussianBlur(face, (0, 0), 1.7)
    x, y = luma(face), luma(other)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, 1.5, radius=5))

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    found = ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim_luma(other, face) == pytest.approx(found[5:-5, 5:-5].mean(), abs=1e-6)
    assert ssim_luma(face, face) == pytest.approx(1)


@pytest.mark.parametrize("blur_sigma", [1.2, None])
def test_consistency_is_the_psnr_of_the_face_degraded_again(
    face: NDArray[np.uint8], blur_sigma: float | None
) -> None:
    low = degrade(face, 4, blur_sigma)
    other = cv2.GaussianBlur(face, (0, 0), 3)
    again = degrade(other, 4, blur_sigma)
    expected = peak_signal_noise_ratio(luma(low), luma(again), data_range=255)
    assert consistency(other, low, 4, blur_sigma) == pytest.approx(expected, abs=1e-9)
    assert consistency(face, low, 4, blur_sigma) == 100


def test_what_moves_is_no_flicker_and_what_changes_is(face: NDArray[np.uint8]) -> None:
    """The second frame is the first moved by 2 right and 1 down: a flow of (2, 1) undoes it; adding
    6 levels to it gives a difference of 6."""
    moved = np.roll(face, (1, 2), axis=(0, 1))
    flow = np.full((64, 64, 2), (2, 1), np.float32)
    assert temporal_difference(face, moved, flow) == 0
    still = np.zeros_like(flow)
    assert temporal_difference(face, moved, still) > 3
    darker = face // 2
    assert temporal_difference(darker, darker + 6, still) == pytest.approx(6)


def test_flow_of_a_known_shift_is_found(face: NDArray[np.uint8]) -> None:
    matrix = np.float32([[1, 0, 1.5], [0, 1, 0.5]])  # type: ignore[arg-type]
    moved = cv2.warpAffine(face, matrix, (64, 64), borderMode=cv2.BORDER_REFLECT)
    flow = motion(face, moved)
    assert np.median(flow.reshape(-1, 2), axis=0) == pytest.approx([1.5, 0.5], abs=0.2)
    still = np.zeros_like(flow)
    assert temporal_difference(face, moved, flow) < 0.6 * temporal_difference(face, moved, still)
