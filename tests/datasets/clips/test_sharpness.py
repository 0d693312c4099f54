"""The score against a loop written from its formula, and what it is for: to order blur."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from datasets.clips.sharpness import sharpness


def picture(seed: int = 0) -> np.ndarray:
    """Noise with the falling spectrum of photographs."""
    chance = np.random.default_rng(seed)
    layers = [gaussian_filter(chance.normal(size=(96, 96)), s) * 2 * s for s in (1, 2, 4, 8)]
    grey = sum(layers)
    grey = 128 + 100 * grey / np.abs(grey).max()
    return np.rint(grey)[:, :, None].repeat(3, 2).astype(np.uint8)


def test_it_is_the_formula() -> None:
    """1000·Var(∇²(G₁ ∗ Y))/(Var(Y) + 1), ∇² the five-point stencil."""
    image = picture()
    luma = image[:, :, 0].astype(float)
    smooth = np.pad(gaussian_filter(luma, 1, mode="mirror", truncate=4), 1, mode="reflect")
    inner = smooth[1:-1, 1:-1]
    stencil = (
        smooth[:-2, 1:-1] + smooth[2:, 1:-1] + smooth[1:-1, :-2] + smooth[1:-1, 2:] - 4 * inner
    )
    wanted = 1000 * stencil.var() / (luma.var() + 1)
    assert sharpness(image) == pytest.approx(wanted, rel=1e-3)


def test_flat_is_zero_and_contrast_does_not_matter() -> None:
    assert sharpness(np.full((32, 32, 3), 77, np.uint8)) == 0
    image = picture()
    pale = np.rint(100 + 0.5 * (image.astype(float) - 100)).astype(np.uint8)
    assert sharpness(pale) == pytest.approx(sharpness(image), rel=0.05)


def test_more_blur_is_always_less_even_under_noise() -> None:
    chance = np.random.default_rng(2)
    scores = []
    for sigma in (0.01, 1, 2, 4):
        blurred = gaussian_filter(picture().astype(float), (sigma, sigma, 0))
        noisy = blurred + chance.normal(0, 2, blurred.shape)
        scores.append(sharpness(noisy.clip(0, 255).astype(np.uint8)))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 4 * scores[2]


def test_real_faces_lie_on_the_documented_scale(faces: Path) -> None:
    """Nine in ten between 6 and 24; between 1 and 4 after a blur of two pixels."""
    files = sorted((faces / "lfw-deepfunneled").glob("*/*.jpg"))[::100]
    crops = [
        cv2.resize(
            cv2.imread(str(f))[50:200, 50:200, ::-1], (128, 128), interpolation=cv2.INTER_AREA
        )
        for f in files
    ]
    sharp = np.array([sharpness(c) for c in crops])
    blurred = np.array([sharpness(cv2.GaussianBlur(c, (0, 0), 2)) for c in crops])
    assert ((sharp > 5.5) & (sharp < 24)).mean() >= 0.85
    assert ((blurred > 1) & (blurred < 4)).mean() >= 0.85
    assert np.median(sharp) == pytest.approx(11.6, abs=1.5)
