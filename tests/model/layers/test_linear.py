"""The linear restoration: its filters against NumPy, its fit against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional

from model.layers.linear import KERNEL, RIDGE, SAMPLES, STAGES, LinearRestoration, fit
from model.linear_fit import fit_linear
from model.metrics import psnr_luma
from model.network import Network, build


def pictures(count: int, side: int) -> torch.Tensor:
    """Smooth random pictures N×3×S×S in [0, 1]."""
    small = torch.rand(count, 3, side // 4, side // 4)
    return functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)


def filled(num_frames: int) -> LinearRestoration:
    filters = LinearRestoration(num_frames)
    filters.kernels.normal_(std=0.1)
    filters.biases.normal_(std=0.1)
    return filters


def test_as_built_it_gives_the_mean_of_the_frames() -> None:
    stack = torch.rand(2, 5 * 3, 12, 12)
    mean = stack.unflatten(1, (5, 3)).mean(1)
    assert torch.allclose(LinearRestoration(5)(stack), mean, atol=1e-6)


def test_the_chain_against_a_naive_loop() -> None:
    """y_j[p] = max(0, Σ_i Σ_q K_j[i, q] x_i[p + q - 3] + b_j), x = (y_{j-1}, m, c), reflected."""
    torch.manual_seed(0)
    filters, stack = filled(3), torch.rand(1, 9, 9, 9)
    given = filters(stack)[0].numpy()
    frames = stack[0].numpy().reshape(3, 3, 9, 9)
    for colour in range(3):
        mean, central = frames[:, colour].mean(0), frames[1, colour]
        image = mean
        for number in range(STAGES):
            inputs = [np.pad(x, 3, mode="reflect") for x in (image, mean, central)]
            kernel, bias = filters.kernels[number].numpy(), float(filters.biases[number])
            image = np.array([
                [
                    max(0, bias + sum((kernel[i] * inputs[i][y : y + 7, x : x + 7]).sum()
                                      for i in range(3)))
                    for x in range(9)
                ]
                for y in range(9)
            ])  # fmt: skip
        assert np.abs(given[colour] - image.clip(0, 1)).max() < 1e-5


def test_the_first_filter_is_ridge_regression() -> None:
    """argmin |X w + b - t|² + λ |w|², λ = RIDGE · mean diag XᵀX, against scikit-learn."""
    torch.manual_seed(1)
    truth, side = pictures(6, 16), 16
    stacks = torch.rand(6, 9, side, side) * 0.1 + truth.repeat(1, 3, 1, 1) * 0.8
    filters = LinearRestoration(3)
    fit(filters, lambda part: stacks[part], truth, batch_size=4, seed=5)
    places = torch.randint(side * side, (SAMPLES,), generator=torch.Generator().manual_seed(5))
    mean, central = (part.numpy() for part in filters.mean_and_central(stacks))
    rows, wanted = [], []
    for clip in range(6):
        for colour in range(3):
            padded = [np.pad(x[clip, colour], 3, mode="reflect") for x in (mean, mean, central)]
            for place in places.tolist():
                y, x = divmod(place, side)
                rows.append(np.concatenate([p[y : y + 7, x : x + 7].ravel() for p in padded]))
                wanted.append(float(truth[clip, colour, y, x]))
    inputs = np.array(rows, np.float64)
    strength = RIDGE * (inputs**2).sum(0).mean()
    # What is not held back, the constant, scikit-learn takes out first, as here.
    expected = Ridge(alpha=strength).fit(inputs, wanted)
    kernels = expected.coef_.reshape(3, KERNEL, KERNEL)
    assert np.abs(filters.kernels[0].numpy() - kernels).max() < 1e-3
    assert float(filters.biases[0]) == pytest.approx(expected.intercept_, abs=1e-3)


def test_each_filter_restores_more_and_so_do_more_frames() -> None:
    torch.manual_seed(2)
    truth = pictures(24, 32)
    blurred = functional.avg_pool2d(functional.pad(truth, (2, 2, 2, 2), mode="reflect"), 5, 1)
    frames = blurred[:, None] + 0.05 * torch.randn(24, 5, 3, 32, 32)

    def restored(num_frames: int) -> list[float]:
        stacks = frames[:, :num_frames].flatten(1, 2)
        filters = LinearRestoration(num_frames)
        fit(filters, lambda part: stacks[part][:16], truth[:16])
        mean, central = filters.mean_and_central(stacks[16:])
        scores, image = [], mean
        for number in range(STAGES):
            image = filters.stage(number, image, mean, central)
            scores.append(float(psnr_luma(image.clamp(0, 1), truth[16:]).mean()))
        assert float(psnr_luma(filters(stacks[16:]), truth[16:]).mean()) == scores[-1]
        return scores

    one, five = restored(1), restored(5)
    assert one[-1] >= one[0] and five[-1] >= five[0]
    assert five[-1] > one[-1] + 1


def test_no_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="no clip"):
        fit(LinearRestoration(1), lambda part: torch.empty(0), torch.empty(0, 3, 8, 8))


@pytest.mark.parametrize("variant", ["f1", "f5", "f5warp"])
def test_the_counterpart_of_a_variant_has_its_frames_and_its_predictor(variant: str) -> None:
    torch.manual_seed(3)
    network = build(variant, 4, 32, 0.25, frame_step=2)
    assert isinstance(network, Network)
    if network.predictor is not None:
        torch.nn.init.normal_(network.predictor.last.weight, std=0.01)
    low, truth = torch.rand(4, network.num_frames, 3, 8, 8), pictures(4, 32)
    counterpart = fit_linear(network, low, truth)
    assert counterpart.variant == variant.replace("f", "linear")
    assert counterpart.frame_step == 2
    assert counterpart(low).shape == (4, 3, 32, 32)
    if network.predictor is not None:
        assert torch.equal(counterpart.predicted_shifts(low), network.predicted_shifts(low))
        given = fit_linear(network, low, truth, shifts=network.predicted_shifts(low))
        assert torch.allclose(given(low), counterpart(low), atol=1e-5)
