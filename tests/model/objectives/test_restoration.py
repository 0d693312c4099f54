"""Eq. (6) of the paper as an objective."""

from typing import Any

import pytest
import torch

from model.losses import perceptual_distances, pixel_loss
from model.objectives.curriculum import Curriculum
from model.objectives.restoration import Restoration
from model.pixels import to_pixels
from tests.support.objectives import recogniser, small, stored

CPU = torch.device("cpu")


def test_restoration_is_equation_6() -> None:
    """loss = pixel + Σ λ_l · distance_l, the network fed the five central frames."""
    network, frozen, batch = small("f5"), recogniser(), stored()
    terms = Restoration(network, 5, frozen, {"pool3": 10.0, "fc7": 3.0})(batch)
    low = to_pixels(batch["low"][:, 10:15], CPU)
    restored, truth = network(low), to_pixels(batch["high"], CPU)
    found = perceptual_distances(frozen, restored, truth, {"pool3": 1, "fc7": 1})
    expected = pixel_loss(restored, truth) + 10 * found["pool3"] + 3 * found["fc7"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert set(terms) == {"loss", "pixel", "psnr", "pool3", "fc7"}
    assert [name for name, value in terms.items() if value.requires_grad] == ["loss"]


def test_frozen_recogniser_has_no_gradient_and_is_no_part_of_the_objective() -> None:
    network, frozen = small("f1"), recogniser()
    objective = Restoration(network, 1, frozen, {"pool4": 100.0})
    objective(stored())["loss"].backward()
    assert all(value.grad is None and not value.requires_grad for value in frozen.parameters())
    assert all(value.grad is not None for value in network.parameters())
    assert len(list(objective.parameters())) == len(list(network.parameters()))
    assert all(name.startswith("network.") for name in objective.state_dict())
    assert not frozen.training


def test_frozen_recogniser_goes_where_the_objective_goes() -> None:
    frozen = recogniser()
    objective = Restoration(small("f1"), 1, frozen, {"pool4": 100.0})
    objective.to(memory_format=torch.channels_last)
    assert frozen.conv1_1.weight.is_contiguous(memory_format=torch.channels_last)
    objective.to(torch.float64)
    assert frozen.fc6.weight.dtype == torch.float64


@pytest.mark.parametrize(("by_frames", "rate"), [(True, 0.2), (False, 1.0)])
def test_the_layer_that_sums_the_frames_learns_at_a_rate_by_their_number(
    by_frames: bool, rate: float
) -> None:
    objective = Restoration(small("f5"), 5, rate_by_frames=by_frames)
    objective.at(3, 10)
    name, rates = "network.reconstruction.layers.0", objective.rates
    layer = objective.get_submodule(name)
    assert isinstance(layer, torch.nn.Conv2d)
    assert layer.in_channels == 5 * 4
    assert rates[name] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("variant", "options", "columns"),
    [
        ("f5", {}, []),
        ("f5", {"weights": {"pool3": 1.0}}, ["order"]),
        ("f5", {"weights": {"pool3": 1.0}, "augment": True}, []),
        ("f5warp", {}, ["order"]),
        ("f5warp", {"look_up": False, "weights": {"pool3": 1.0}}, []),
        ("f5", {"curriculum": Curriculum(true_motion=0.5)}, []),
        ("f5warp", {"curriculum": Curriculum(true_motion=0.5)}, ["motion", "order"]),
    ],
)
def test_restoration_reads_what_it_needs(
    variant: str, options: dict[str, Any], columns: list[str]
) -> None:
    objective = Restoration(small(variant), 5, recogniser(), **options)
    assert objective.columns == ["low", "high", *columns]


def test_weights_without_a_recogniser_are_refused() -> None:
    with pytest.raises(ValueError, match="pool3 need a recogniser"):
        Restoration(small("f1"), 1, None, {"pool3": 1.0})
    Restoration(small("f1"), 1, None, {"pool3": 0.0})
