"""What several objectives have in common."""

from collections.abc import Callable

import pytest
import torch

from model.layers.warp_predictor import WarpPredictor
from model.objectives.recognition import Recognition
from model.objectives.restoration import Restoration
from model.objectives.warp_known_motion import WarpKnownMotion
from model.objectives.warp_photometric import WarpPhotometric
from tests.support.objectives import recogniser, small, stored


@pytest.mark.parametrize(
    "make",
    [
        lambda: WarpPhotometric(WarpPredictor(8), 5, "low", jitter=1.0),
        lambda: WarpPhotometric(WarpPredictor(8), 5, "high"),
        lambda: WarpKnownMotion(WarpPredictor(8)),
    ],
)
def test_warp_pretraining_moves_the_predictor_and_reads_what_it_names(
    make: Callable[[], WarpPhotometric | WarpKnownMotion],
) -> None:
    pretraining, batch = make(), stored() | {"motion": torch.zeros(2, 25, 64, 2)}
    terms = pretraining({name: batch[name] for name in pretraining.columns})
    terms["loss"].backward()
    gradient = pretraining.network.last.weight.grad
    assert gradient is not None and gradient.any()
    assert [name for name, value in terms.items() if value.requires_grad] == ["loss"]


@pytest.mark.parametrize(
    ("make", "fed"),
    [
        (lambda: Restoration(small("f3"), 3, augment=True), ["network"]),
        (lambda: WarpPhotometric(WarpPredictor(8), 5, jitter=1.0),
         ["network.central", "network.adjacent"]),
        (lambda: WarpKnownMotion(WarpPredictor(8), 1.2),
         ["network.central", "network.adjacent"]),
        (lambda: Recognition(recogniser(), degrade=1.0), ["network"]),
    ],
)  # fmt: skip
def test_autocast_does_not_reach_what_is_learnt_from(
    make: Callable[[], torch.nn.Module], fed: list[str]
) -> None:
    """What each network is given, and the error before any learning, to the last bit."""

    def given(lower: bool) -> list[torch.Tensor]:
        torch.manual_seed(3)
        objective, seen = make(), list[torch.Tensor]()
        for name in fed:
            objective.get_submodule(name).register_forward_pre_hook(lambda _, x: seen.extend(x))
        batch = stored()
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            terms = objective(batch)
        return seen + [terms[name] for name in ("before", "epe_before") if name in terms]

    expected, found = given(False), given(True)
    assert len(found) == len(expected) >= len(fed)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == torch.float32 and torch.equal(one, other)
