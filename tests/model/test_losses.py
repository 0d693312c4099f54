"""Eq. (6) re-computed in NumPy."""

import numpy as np
import pytest
import torch

from model.losses import perceptual_distances, pixel_loss
from model.perceptual import FaceRecogniser


@pytest.fixture
def recogniser() -> FaceRecogniser:
    return FaceRecogniser(5, width=0.05, input_size=32, fc_width=12).eval().requires_grad_(False)


def test_pixel_term_is_a_sum_over_the_image_and_a_mean_over_the_batch() -> None:
    """Three images off by 0.5 everywhere: 0.25 · 3 · 8 · 8 each."""
    truth = torch.rand(3, 3, 8, 8)
    assert float(pixel_loss(truth + 0.5, truth)) == pytest.approx(0.25 * 3 * 64, rel=1e-5)


def test_equals_numpy(recogniser: FaceRecogniser) -> None:
    """mean_b Σ (y - x)²  and  mean_b |φ(y)/|φ(y)| - φ(x)/|φ(x)||²."""
    restored, truth = torch.rand(2, 2, 3, 32, 32)
    given = perceptual_distances(recogniser, restored, truth, {"pool3": 1.0, "fc7": 2.0})
    difference = (restored - truth).numpy().astype(np.float64)
    pixel = (difference**2).reshape(2, -1).sum(1).mean()
    assert float(pixel_loss(restored, truth)) == pytest.approx(pixel, rel=1e-5)
    assert set(given) == {"pool3", "fc7"}
    for layer, distance in given.items():
        one, two = (
            recogniser.forward_to(images, {layer})[layer].numpy().reshape(2, -1).astype(float)
            for images in (restored, truth)
        )
        one /= np.sqrt((one**2).sum(1, keepdims=True))
        two /= np.sqrt((two**2).sum(1, keepdims=True))
        assert float(distance) == pytest.approx(((one - two) ** 2).sum(1).mean(), rel=1e-4)


def test_gradient_reaches_the_restored_image_only(recogniser: FaceRecogniser) -> None:
    restored = torch.rand(1, 3, 32, 32, requires_grad=True)
    truth = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(perceptual_distances(recogniser, restored, truth, {"pool4": 1.0}).values()).backward()
    assert restored.grad is not None and restored.grad.any()
    assert truth.grad is None
    assert all(value.grad is None for value in recogniser.parameters())
