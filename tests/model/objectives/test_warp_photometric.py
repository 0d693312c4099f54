"""Pretraining of P as in the paper."""

import pytest
import torch

from model.layers.warp_predictor import WarpPredictor
from model.losses import pixel_loss
from model.objectives.warp_photometric import WarpPhotometric
from model.pixels import to_pixels
from tests.support.objectives import stored

CPU = torch.device("cpu")


def test_photometric_error_starts_at_that_of_no_warp() -> None:
    """Low: all four neighbours of an f5 window; high: the stored sharp neighbour."""
    batch = stored()
    low, high = to_pixels(batch["low"], CPU), to_pixels(batch["high"], CPU)
    others = low[:, [10, 11, 13, 14]].flatten(0, 1)
    expected = pixel_loss(others, low[:, 12].repeat_interleave(4, dim=0))
    terms = WarpPhotometric(WarpPredictor(8), 5)(batch)
    assert float(terms["after"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(terms["before"]) == pytest.approx(float(expected), rel=1e-4)
    terms = WarpPhotometric(WarpPredictor(8), 5, target="high")(batch)
    expected = pixel_loss(to_pixels(batch["neighbour"], CPU), high)
    assert float(terms["after"]) == pytest.approx(float(expected), rel=1e-4)


def test_high_target_predicts_from_the_stored_neighbour() -> None:
    batch = stored(count=2)
    predictor = WarpPredictor(8)
    seen: list[torch.Tensor] = []
    predictor.adjacent.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    WarpPhotometric(predictor, 25, target="high")(batch)
    low = to_pixels(batch["low"], CPU)
    assert torch.allclose(seen[0], torch.stack([low[0, 0], low[1, 17]]) * 2 - 1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"target": "both"}, "low or high"),
        ({"num_frames": 1}, "no adjacent frame"),
    ],
)
def test_unknown_settings_are_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        WarpPhotometric(WarpPredictor(8), **{"num_frames": 5, **changes})  # type: ignore[arg-type]
