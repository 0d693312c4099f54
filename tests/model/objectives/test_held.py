"""P's shifts and the recogniser's features from memory: those that are computed, for the right
clips and within the bound."""

import torch

from model.losses import target_features
from model.network import Network, build
from model.objectives.held import HeldFeatures, HeldShifts
from model.objectives.restoration import Restoration
from model.perceptual import FaceRecogniser

A_CLIP = 4 * 64 * 2 * 4  # bytes of f5warp's
LAYERS = ["pool3", "fc7"]


def network() -> Network:
    torch.manual_seed(0)
    built = build("f5warp", scale=4, size=32, width=0.25)
    assert isinstance(built, Network) and built.predictor is not None
    torch.nn.init.normal_(built.predictor.last.weight, std=0.1)
    return built


def test_shifts_that_are_kept_are_those_computed() -> None:
    """Also where a batch holds clips seen before in other company, or one of them twice."""
    net, held, low = network(), HeldShifts(), torch.rand(5, 5, 3, 8, 8)
    order = torch.tensor([2**62, 7, 9, 11, 0])
    computed = held.of(net, low, None)
    assert computed.std() > 0.01 and not held.kept
    for rows in ([0, 1], [1, 4, 3], [2, 1, 1, 0], [4, 3, 2, 1, 0]):
        found = held.of(net, low[rows], order[rows])
        torch.testing.assert_close(found, computed[rows], atol=1e-5, rtol=1e-4)
    assert len(held.kept) == 5 and held.bytes == 5 * A_CLIP
    alone = torch.cat([net.predicted_shifts(low[i : i + 1]) for i in range(5)])
    assert torch.equal(held.of(net, low, order), alone)


def test_it_is_not_computed_again_until_cleared() -> None:
    net, held, low = network(), HeldShifts(), torch.rand(3, 5, 3, 8, 8)
    calls = []
    assert net.predictor is not None
    net.predictor.last.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        held.of(net, low, torch.arange(3))
    assert len(calls) == 3
    held.clear()
    held.of(net, low, torch.arange(3))
    assert len(calls) == 6


def test_beyond_their_limit_no_shifts_are_kept_and_all_is_right() -> None:
    net, held, low = network(), HeldShifts(limit=2 * A_CLIP), torch.rand(5, 5, 3, 8, 8)
    for _ in range(2):
        found = held.of(net, low, torch.arange(5))
        torch.testing.assert_close(found, held.of(net, low, None), atol=1e-5, rtol=1e-4)
        assert sorted(held.kept) == [0, 1] and held.bytes == 2 * A_CLIP


def test_it_is_exact_inside_autocast_and_carries_no_gradient() -> None:
    net, held, low = network(), HeldShifts(), torch.rand(2, 5, 3, 8, 8)
    expected = held.of(net, low, None)
    with torch.autocast("cpu", torch.bfloat16):
        found = held.of(net, low, None)
    assert torch.equal(found, expected) and not found.requires_grad


def judge() -> FaceRecogniser:
    torch.manual_seed(0)
    return FaceRecogniser(identities=3, width=0.0625, input_size=32).eval()


def batch(count: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "low": torch.randint(256, (count, 1, 8, 8, 3), dtype=torch.uint8, generator=draw),
        "high": torch.randint(256, (count, 32, 32, 3), dtype=torch.uint8, generator=draw),
        "order": torch.arange(count),
    }


def test_features_that_are_kept_are_those_computed() -> None:
    held, faces = HeldFeatures(), torch.rand(5, 3, 32, 32)
    expected = target_features(judge(), faces, LAYERS)
    for rows in ([0, 1, 2], [2, 4], [4, 3, 0]):
        found = held.of(judge(), faces[rows], LAYERS, None, torch.tensor(rows))
        for layer in LAYERS:
            torch.testing.assert_close(found[layer], expected[layer][rows], atol=1e-6, rtol=1e-5)
    assert sorted(held.kept) == [0, 1, 2, 3, 4]
    # Looked up, not computed: other faces under the same keys change nothing.
    again = held.of(judge(), torch.zeros(1, 3, 32, 32), LAYERS, None, torch.tensor([3]))
    torch.testing.assert_close(again["fc7"][0], expected["fc7"][3], atol=1e-6, rtol=1e-5)


def test_beyond_their_limit_no_features_are_kept_and_all_is_right() -> None:
    held, faces = HeldFeatures(limit=10), torch.rand(2, 3, 32, 32)
    found = held.of(judge(), faces, LAYERS, None, torch.arange(2))
    expected = target_features(judge(), faces, LAYERS)
    torch.testing.assert_close(found["pool3"], expected["pool3"], atol=1e-6, rtol=1e-5)
    assert not held.kept


def test_the_loss_is_the_same_and_augmented_faces_are_never_kept() -> None:
    given = batch(3)
    objective = Restoration(build("f1", 4, 32, 0.25), 1, judge(), {"pool3": 10.0, "fc7": 1.0})
    without = objective({name: given[name] for name in ("low", "high")})
    first, second = objective(given), objective(given)
    assert objective.held_truth is not None and len(objective.held_truth.kept) == 3
    for name, value in without.items():
        torch.testing.assert_close(first[name], value, atol=1e-4, rtol=1e-5)
        assert torch.equal(first[name], second[name])
    augmented = Restoration(build("f1", 4, 32, 0.25), 1, judge(), {"pool3": 1.0}, augment=True)
    assert augmented.held_truth is None
