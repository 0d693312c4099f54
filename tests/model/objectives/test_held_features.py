"""The recogniser's features of the truth, looked up."""

import torch

from model.losses import target_features
from model.network import build
from model.objectives.held_features import HeldFeatures
from model.objectives.restoration import Restoration
from model.perceptual import FaceRecogniser

LAYERS = ["pool3", "fc7"]


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


def test_what_is_kept_is_what_is_computed() -> None:
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


def test_beyond_the_limit_nothing_is_kept_and_all_is_right() -> None:
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
