"""The variants: shapes, sharing of weights, order in time, and that each can learn."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from model.losses import pixel_loss
from model.metrics import psnr_luma
from model.network import Network, build
from model.objectives.augmentation import augment_clips
from model.variants import VARIANTS, parse_variant


def small(variant: str, **changes: object) -> Network:
    network = build(variant, **{"scale": 4, "size": 32, "width": 0.25, **changes})  # type: ignore[arg-type]
    assert isinstance(network, Network)
    return network


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("scale", "size"), [(8, 64), (4, 64), (4, 32), (2, 32)])
def test_every_variant_builds_and_gives_an_image(variant: str, scale: int, size: int) -> None:
    network = build(variant, scale=scale, size=size, width=0.25)
    num_frames = parse_variant(variant).num_frames
    with torch.no_grad():
        image = network(torch.rand(2, num_frames, 3, size // scale, size // scale))
    assert image.shape == (2, 3, size, size)
    assert image.min() >= 0 and image.max() <= 1


def test_defaults_are_the_papers() -> None:
    network = build("f25warp").eval()
    with torch.no_grad():
        assert network(torch.rand(1, 25, 3, 16, 16)).shape == (1, 3, 128, 128)
    assert network.reconstruction.layers[0].in_channels == 100


def test_adjacent_frames_share_one_extractor_and_the_central_has_its_own() -> None:
    network = small("f25warp")
    extractors = [name for name in dict(network.named_children()) if name != "reconstruction"]
    assert extractors == ["central", "adjacent", "predictor"]
    shared = {id(value) for value in network.adjacent.parameters()}
    assert shared.isdisjoint(id(value) for value in network.central.parameters())
    counts = [sum(p.numel() for p in small(v).adjacent.parameters()) for v in ("f5", "f25")]
    assert counts[0] == counts[1]


def test_stack_is_in_temporal_order_with_the_central_frame_in_its_place() -> None:
    network = small("f5")
    low = torch.rand(2, 5, 3, 8, 8)
    seen: list[torch.Tensor] = []
    network.reconstruction.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(low)
    stack = seen[0].unflatten(1, (5, 4))
    for place in range(5):
        extractor = network.central if place == 2 else network.adjacent
        assert torch.allclose(stack[:, place], extractor(low[:, place]), atol=1e-6)


def test_warp_moves_the_adjacent_frames_only() -> None:
    network = small("f5warp")
    nn.init.constant_(network.predictor.last.bias, 0.3)
    low = torch.rand(1, 5, 3, 8, 8)
    seen: list[torch.Tensor] = []
    network.reconstruction.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(low)
    stack = seen[0].unflatten(1, (5, 4))
    assert torch.equal(stack[:, 2], network.central(low[:, 2]))
    assert not torch.allclose(stack[:, 1], network.adjacent(low[:, 1]), atol=1e-2)


def test_given_shifts_stand_in_for_the_predictors() -> None:
    torch.manual_seed(0)
    network, low = small("f5warp", start="kaiming"), torch.rand(2, 5, 3, 8, 8)
    assert network.predictor is not None
    nn.init.normal_(network.predictor.last.weight, std=0.05)
    own = network.predicted_shifts(low)
    assert torch.equal(network(low, own), network(low))
    network.predictor = None  # is not asked
    assert not torch.equal(network(low, 2 * own), network(low, own))


def test_an_augmented_clips_shifts_align_it_as_before() -> None:
    """Mirrored, or played backwards, the aligned maps are those of the clip, mirrored or in
    reverse: F's start, which only enlarges, commutes with both."""
    torch.manual_seed(0)
    network, low = small("f5warp"), torch.rand(32, 5, 3, 8, 8)
    assert network.adjacent is not None
    shifts = 0.1 * torch.randn(32, 4, 64, 2)

    def aligned(low: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
        others = torch.cat((low[:, :2], low[:, 3:]), dim=1)
        assert network.adjacent is not None
        maps = network.adjacent.enlarge(others.flatten(0, 1)).unflatten(0, (32, 4))
        return network.stack(network.central.enlarge(low[:, 2]), maps, shifts)

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape: torch.zeros(shape))  # no other light
        changed, _, moved = augment_clips(low, low[:, 2], shifts)
        assert moved is not None
        before, after = aligned(low, shifts), aligned(changed, moved)
    before = before.unflatten(1, (5, 3))
    kinds = [before, before.flip(-1), before.flip(1), before.flip(1).flip(-1)]
    nearest = torch.stack([(kind.flatten(1, 2) - after).abs().amax((1, 2, 3)) for kind in kinds])
    assert nearest.amin(0).max() < 1e-4
    assert set(nearest.argmin(0).tolist()) == {0, 1, 2, 3}


def test_identity_warp_equals_no_warp() -> None:
    warped, plain = small("f5warp"), small("f5")
    plain.load_state_dict(
        {k: v for k, v in warped.state_dict().items() if not k.startswith("predictor")}
    )
    low = torch.rand(2, 5, 3, 8, 8)
    assert torch.allclose(warped(low), plain(low), atol=1e-5)


def test_f5_is_f25_that_sees_only_its_five_central_frames() -> None:
    """With R's weights of the other twenty frames at zero, f25 is f5 on the centre slice."""
    long, short = small("f25"), small("f5")
    state = long.state_dict()
    first = state["reconstruction.layers.0.weight"]
    first[:, :40] = 0
    first[:, 60:] = 0
    short.load_state_dict({**state, "reconstruction.layers.0.weight": first[:, 40:60]})
    low = torch.rand(1, 25, 3, 8, 8)
    assert torch.allclose(long(low), short(low[:, 10:15]), atol=1e-5)


def test_passthrough_starts_near_bilinear() -> None:
    low = torch.rand(2, 5, 3, 8, 8)
    expected = functional.interpolate(low[:, 2], scale_factor=4, mode="bilinear")
    given = small("f5warp")(low)
    assert torch.allclose(given, torch.sigmoid(5.2 * expected - 2.6), atol=1e-5)
    other = small("f5warp", start="kaiming")(low)
    assert not torch.allclose(given, other, atol=0.05)


def test_bicubic_has_no_parameters_and_is_clamped() -> None:
    network = build("bicubic", scale=4, size=32)
    assert not list(network.parameters())
    low = (torch.rand(1, 1, 3, 8, 8) > 0.5).float()
    for colour, given in zip(low[0, 0], network(low)[0], strict=True):
        image = Image.fromarray(colour.numpy(), "F").resize((32, 32), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(image).clip(0, 1) - given.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    "shape", [(1, 3, 3, 8, 8), (1, 5, 1, 8, 8), (1, 5, 3, 16, 16), (5, 3, 8, 8)]
)
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected B×5×3×8×8"):
        small("f5")(torch.zeros(shape))


@pytest.mark.parametrize(("scale", "size"), [(3, 33), (8, 100), (8, 8), (0, 16)])
def test_wrong_sizes_are_refused(scale: int, size: int) -> None:
    with pytest.raises(ValueError, match="scale must be even and divide size"):
        build("f1", scale=scale, size=size)


def test_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        build("f1", width=0)


def test_half_precision_autocast_runs() -> None:
    network = small("f5warp")
    low = torch.rand(1, 5, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(low).shape == (1, 3, 32, 32)
    assert network.to(torch.bfloat16)(low).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "bicubic"])
def test_overfits_two_clips(variant: str) -> None:
    """Two drawn clips at a reduced size, above 35 dB within 200 steps (50 are usual)."""
    torch.manual_seed(1)
    network = small(variant, size=8, width=0.5)
    high = functional.interpolate(torch.rand(2, 3, 5, 5), (8, 8), mode="bicubic")
    high = high.clamp(0.05, 0.95)
    frames = parse_variant(variant).num_frames
    low = torch.stack([high.roll(t % 3 - 1, dims=-1)[..., 1::4, 1::4] for t in range(frames)], 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.99))
    reached = torch.zeros(2)
    for step in range(200):
        restored = network(low)
        if step % 10 == 0:
            reached = psnr_luma(restored.detach(), high)
            if reached.min() > 35:
                break
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 20)
        optimizer.zero_grad()
        pixel_loss(restored, high).backward()
        optimizer.step()
    assert reached.min() > 35, (variant, reached)
