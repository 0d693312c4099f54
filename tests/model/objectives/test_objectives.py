"""The three objectives on batches as stored."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from model.layers.warp_predictor import WarpPredictor
from model.losses import perceptual_distances, pixel_loss
from model.network import build
from model.objectives.curriculum import Curriculum
from model.objectives.recognition import Recognition
from model.objectives.restoration import Restoration
from model.objectives.warp_known_motion import WarpKnownMotion
from model.objectives.warp_photometric import WarpPhotometric
from model.perceptual import FaceRecogniser
from model.pixels import to_pixels

CPU = torch.device("cpu")


def stored(count: int = 2, size: int = 32, scale: int = 4) -> dict[str, torch.Tensor]:
    low = size // scale
    return {
        "low": torch.randint(0, 256, (count, 25, low, low, 3), dtype=torch.uint8),
        "high": torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8),
        "neighbour": torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8),
        "neighbour_offset": torch.tensor([-12, 5, 1, -1]).repeat(-(-count // 4))[:count],
        "label": torch.arange(count) % 3,
    }


def recogniser() -> FaceRecogniser:
    return FaceRecogniser(3, width=0.05, input_size=32, fc_width=12, dropout=0.0)


def small(variant: str) -> torch.nn.Module:
    return build(variant, scale=4, size=32, width=0.25)


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


def test_field_validation_repeats_and_training_does_not() -> None:
    pretraining = WarpKnownMotion(WarpPredictor(8))
    batch = stored()
    before = [float(pretraining(batch)["epe_before"]) for _ in range(2)]
    assert before[0] != before[1]
    pretraining.eval()
    terms = [pretraining(batch) for _ in range(2)]
    assert torch.equal(terms[0]["loss"], terms[1]["loss"])
    assert float(terms[0]["epe"]) == pytest.approx(float(terms[0]["epe_before"]))


def test_field_objective_learns_known_motion() -> None:
    """The end-point error of repeated pairs of two smooth faces falls by half."""
    small_faces = functional.interpolate(torch.rand(4, 3, 6, 6), (32, 32), mode="bicubic")
    high = (small_faces.clamp(0, 1) * 255).byte().movedim(1, -1)
    batch = {**stored(4), "high": high}
    pretraining = WarpKnownMotion(WarpPredictor(8), 1.2).eval()
    optimizer = torch.optim.Adam(pretraining.parameters(), lr=5e-4)
    for _ in range(40):
        optimizer.zero_grad()
        terms = pretraining(batch)
        terms["loss"].backward()
        optimizer.step()
    assert terms["epe"] < 0.5 * terms["epe_before"]


def drifting(count: int = 8) -> dict[str, torch.Tensor]:
    """Clips of 25 frames, each of which drifts by its own speed; the motion as it is stored."""
    frames, speed = torch.arange(25) - 12, torch.linspace(-1, 1, count) * 0.02
    shifts = speed[:, None] * frames
    y, x = torch.meshgrid(*[(2 * torch.arange(8) + 1) / 8 - 1] * 2, indexing="ij")
    place = x - shifts[..., None, None]
    phase = torch.arange(count).view(-1, 1, 1, 1)
    waves = torch.stack([(3 * place + phase).sin(), (4 * y + place).cos(), (4 * place).sin()], -1)
    motion = torch.zeros(count, 25, 64, 2)
    motion[..., 0] = shifts[..., None]
    return {**stored(count), "low": (127 + 100 * waves).byte(), "motion": motion.half()}


def test_field_objective_learns_the_motion_that_is_stored() -> None:
    """The end-point error of pairs of frames that drift falls to a third; no pair is made."""
    batch = drifting() | {"high": torch.zeros(0)}
    pretraining = WarpKnownMotion(WarpPredictor(8), stored_share=1.0)
    optimizer = torch.optim.Adam(pretraining.parameters(), lr=5e-5)
    for _ in range(30):
        optimizer.zero_grad()
        pretraining(batch)["loss"].backward()
        optimizer.step()
    terms = pretraining.eval()(batch)
    assert terms["epe"] < 0.35 * terms["epe_before"]


def test_real_pairs_are_as_many_as_the_share_says_and_where_motion_is_known() -> None:
    batch = drifting(200)
    batch["motion"][:50] = torch.nan
    pretraining = WarpKnownMotion(WarpPredictor(8), stored_share=0.4)
    pair = pretraining._pairs(batch)
    assert len(pair.shifts) == 200 and pair.shifts.isfinite().all()
    real = pair.shifts[..., 1].abs().amax(1) < 1e-6  # these clips drift along x alone
    assert 0.2 < real.float().mean() < 0.4  # 0.4 of 150
    assert not real[int(real.sum()) :].any()


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


def test_recogniser_learns_three_faces() -> None:
    module = FaceRecogniser(3, width=0.1, input_size=32, dropout=0.0)
    objective = Recognition(module, label_smoothing=0.1)
    batch = stored(3)
    assert 0.5 < objective(batch)["loss"].item() < 2.5
    objective.eval()
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        terms = objective(batch)
        terms["loss"].backward()
        optimizer.step()
    assert float(terms["accuracy"]) == 1


def test_recogniser_sees_augmented_faces_in_training_only() -> None:
    objective = Recognition(recogniser())
    batch = stored()
    assert objective(batch)["loss"].item() != objective(batch)["loss"].item()
    objective.eval()
    assert objective(batch)["loss"].item() == objective(batch)["loss"].item()
