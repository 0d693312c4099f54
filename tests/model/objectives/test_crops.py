"""Crops are of one size, everywhere in the picture, and R's gradient on them nearly the whole's."""

import pytest
import torch

from model.losses import pixel_loss
from model.network import Network, build
from model.objectives.crops import MARGIN, draw_crop
from model.objectives.restoration import Restoration
from model.perceptual import FaceRecogniser
from model.pixels import to_pixels


def test_crops_are_kept_from_what_is_seen() -> None:
    """Of a picture of its own coordinates, the kept part is where `kept` says."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    picture = torch.stack((y, x, y)).expand(2, 3, 32, 32)
    places = set()
    for _ in range(300):
        crop = draw_crop(32, 0.5)
        seen = picture[:, :, *crop.seen]
        assert seen.shape[2:] == (16 + 2 * MARGIN,) * 2 and crop.share == 0.25
        assert torch.equal(crop.inside(seen), picture[:, :, *crop.kept])
        assert crop.inside(seen).shape[2:] == (16, 16)
        places.add(crop.kept[0].start)
    assert places == set(range(17))


def test_nearly_the_whole_is_seen_whole() -> None:
    crop = draw_crop(32, 0.9)
    assert crop.seen == (slice(0, 32),) * 2 and crop.kept[0].stop - crop.kept[0].start == 29


@pytest.mark.parametrize("variant", ["f1", "f3", "f3warp"])
def test_a_cropped_stack_is_the_stacks_crop(variant: str) -> None:
    torch.manual_seed(0)
    network = build(variant, scale=4, size=32, width=0.25)
    assert isinstance(network, Network)
    seen: list[torch.Tensor] = []
    network.reconstruction.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    low = torch.rand(2, network.num_frames, 3, 8, 8)
    shifts = 0.1 * torch.randn(2, 2, 64, 2) if variant == "f3warp" else None
    network(low, shifts)
    network(low, shifts, (slice(3, 20), slice(10, 32)))
    assert torch.equal(seen[1], seen[0][:, :, 3:20, 10:32])


def test_loss_and_gradient_are_nearly_those_of_the_region_in_the_whole() -> None:
    """The loss is that of the whole's region over its share; what R does not see around it moves
    the gradient by less than a hundredth."""
    torch.manual_seed(0)
    network = build("f3", scale=4, size=64, width=0.25)
    batch = {
        "low": torch.randint(0, 256, (2, 3, 16, 16, 3), dtype=torch.uint8),
        "high": torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8),
    }

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        network.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    torch.manual_seed(5)
    crop = draw_crop(64, 0.5)
    cpu = torch.device("cpu")
    restored = network(to_pixels(batch["low"], cpu))[:, :, *crop.kept]
    expected = 4 * pixel_loss(restored, to_pixels(batch["high"], cpu)[:, :, *crop.kept])
    torch.manual_seed(5)
    objective = Restoration(network, 3, crop=0.5)
    found = objective(batch)["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=0.01)
    one, two = gradient(expected), gradient(found)
    assert 0 < (one - two).norm() < 0.01 * one.norm()
    objective.eval()
    whole = pixel_loss(network(to_pixels(batch["low"], cpu)), to_pixels(batch["high"], cpu))
    assert objective(batch)["loss"].item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_crop_is_no_face_to_a_recogniser() -> None:
    network, judge = build("f1", scale=4, size=32, width=0.25), FaceRecogniser(3, 0.05, 32, 12, 0.0)
    with pytest.raises(ValueError, match=r"crop: .*whole faces"):
        Restoration(network, 1, judge, {"pool3": 1.0}, crop=0.5)
