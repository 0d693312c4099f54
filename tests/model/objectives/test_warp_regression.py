"""The last layer of P by least squares, against scikit-learn and on motion it has not seen."""

import numpy as np
import torch
from sklearn.linear_model import Ridge

from model.layers.warp_predictor import WarpPredictor
from model.objectives.known_motion import Pair, make_burst
from model.objectives.warp_regression import RIDGE, fit_last_layer


def pairs(count: int, seed: int) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 10, 10, generator=generator)
    faces = torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").clamp(0, 1)
    return make_burst(faces, 4, 1.2, generator=generator)


def test_weights_are_those_of_ridge_regression_with_an_intercept() -> None:
    predictor = WarpPredictor(16)
    batches = [pairs(60, 1), pairs(80, 2)]
    fit_last_layer(predictor, batches)
    maps = [
        (predictor.central_maps(p.central), predictor.adjacent_maps(p.adjacent)) for p in batches
    ]
    h = torch.cat([predictor.features(*each) for each in maps]).detach().double().numpy()
    s = torch.cat([p.shifts.flatten(1) for p in batches]).double().numpy()
    alpha = RIDGE * np.square(h - h.mean(0)).sum(0).mean()
    expected = Ridge(alpha=alpha, solver="cholesky").fit(h, s)
    found = predictor.last
    np.testing.assert_allclose(found.weight.detach(), expected.coef_, atol=1e-5)
    np.testing.assert_allclose(found.bias.detach(), expected.intercept_, atol=1e-5)


def test_the_motion_of_unseen_pairs_is_told_before_any_training() -> None:
    """A third and more of the squared shifts is explained, by 200 pairs; before it was none."""
    predictor = WarpPredictor(16)
    unseen = pairs(40, 3)
    assert not predictor(unseen.central, unseen.adjacent).any()
    fit_last_layer(predictor, [pairs(200, 4)])
    rest = predictor(unseen.central, unseen.adjacent) - unseen.shifts
    assert rest.square().sum() < 0.67 * unseen.shifts.square().sum()
