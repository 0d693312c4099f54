"""The numerics of model/ on the device that FACESTACK_DEVICE names (a CPU without it), in float32,
against the same in float64 on a CPU."""

import os

import pytest
import torch
from torch import Tensor, nn

from infra.training.optimiser_step import set_float32_products
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.losses import pixel_loss, unit_features
from model.metrics import end_point_error, psnr_luma
from model.network import Network, build
from model.objectives.augmentation import augment_clips, augment_faces
from model.objectives.fresh_bursts import FreshBursts, make_clip
from model.objectives.known_motion import degrade, make_burst
from model.objectives.real_pairs import draw_pairs
from model.objectives.restoration import Restoration
from model.objectives.warp_known_motion import WarpKnownMotion
from model.perceptual import FaceRecogniser
from model.streaming import Part, restore, restore_parts
from model.thin_plate_spline import between, dense_field, mirrored

DEVICE = torch.device(os.environ.get("FACESTACK_DEVICE", "cpu"))
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def exact_products() -> None:
    """float32 is float32: no TF32."""
    set_float32_products("fp32")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(found: Tensor, expected: Tensor, most: float = 1e-5) -> None:
    """‖found − expected‖ ≤ most · ‖expected‖."""
    assert found.device.type == DEVICE.type and found.isfinite().all()
    apart = (found.cpu().double() - expected.double()).norm()
    assert apart <= most * expected.double().norm()


def here(value: Tensor) -> Tensor:
    return value.float().to(DEVICE)


def test_splines_and_warps() -> None:
    shifts = 0.2 * drawn(3, 64, 2) - 0.1
    images = drawn(3, 4, 32, 32, seed=1)
    field = dense_field(shifts, 32, 32)
    close(dense_field(here(shifts), 32, 32), field)
    close(warp(here(images), here(field)), warp(images, field))
    close(mirrored(here(shifts)), mirrored(shifts))
    other = shifts.flip(0)
    close(between(here(shifts), here(other)), between(shifts, other))
    error = end_point_error(field, field.flip(0))
    close(end_point_error(here(field), here(field.flip(0))), error)


def test_gradients_of_a_warp() -> None:
    """d/d shifts and d/d images of Σ warp(images, field(shifts))²."""
    grads = []
    for convert in (lambda v: v, here):
        shifts = convert(0.2 * drawn(2, 64, 2) - 0.1).requires_grad_()
        images = convert(drawn(2, 4, 16, 16, seed=1)).requires_grad_()
        warp(images, dense_field(shifts, 16, 16)).square().sum().backward()
        assert shifts.grad is not None and images.grad is not None
        grads.append((shifts.grad, images.grad))
    for exact, found in zip(*grads, strict=True):
        close(found, exact, 1e-4)


@pytest.mark.parametrize("variant", ["f1", "f5", "f5warp", "f25warp"])
def test_networks_forward_and_backward(variant: str) -> None:
    torch.manual_seed(0)
    network = build(variant, 4, 32, 0.25, start="kaiming")
    assert isinstance(network, Network)
    if network.predictor is not None:
        nn.init.normal_(network.predictor.last.weight, std=0.003)
    exact = build(variant, 4, 32, 0.25).double()
    exact.load_state_dict({name: value.double() for name, value in network.state_dict().items()})
    low, truth = drawn(2, network.num_frames, 3, 8, 8), drawn(2, 3, 32, 32, seed=1)
    outcome = exact(low)
    pixel_loss(outcome.double(), truth).backward()
    network.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = network(here(low))
    close(found, outcome)
    pixel_loss(found, here(truth)).backward()
    for one, other in zip(network.parameters(), exact.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        close(one.grad, other.grad, 2e-3)  # pixel_loss is of float32


@pytest.mark.parametrize("variant", ["f1", "f5warp"])
def test_streamed_is_window_by_window(variant: str) -> None:
    torch.manual_seed(0)
    network = build(variant, 4, 32, 0.25, start="kaiming").eval()
    assert isinstance(network, Network)
    film = drawn(9, 3, 8, 8)
    reach = network.radius
    windows = torch.stack(
        [film[torch.arange(i - reach, i + reach + 1).clamp(0, 8)] for i in range(9)]
    )
    exact = build(variant, 4, 32, 0.25).double().eval()
    exact.load_state_dict({name: value.double() for name, value in network.state_dict().items()})
    with torch.no_grad():
        expected = exact(windows)
    close(restore(network.to(DEVICE), here(film), batch_size=4), expected)


def test_parts_are_as_in_the_whole_track() -> None:
    torch.manual_seed(0)
    network = build("f5warp", 4, 32, 0.25, start="kaiming").eval().to(DEVICE)
    stored = (255 * drawn(9, 8, 8, 3)).byte()
    parts = [Part(stored[:5], 0, 2, True, False), Part(stored[1:], 2, 0, False, True)]
    found = list(restore_parts(network, parts, batch_size=4))
    assert [len(images) for images in found] == [3, 6]
    film = stored.movedim(-1, 1).float().div(255)
    close(torch.cat(found), restore(network, film, batch_size=4).cpu())


def test_degradation_and_what_is_drawn_are_those_of_a_cpu() -> None:
    """Within a level of 255 where rounding falls on the other side."""
    faces = drawn(3, 3, 32, 32).float()
    for blur_sigma in (1.2, None):
        apart = (
            degrade(faces.to(DEVICE), 4, blur_sigma).cpu() - degrade(faces, 4, blur_sigma)
        ).abs()
        assert apart.max() <= 1.01 / 255 and (apart > 0).float().mean() < 0.01
    seeded = [torch.Generator().manual_seed(5) for _ in range(2)]
    for one, other in zip(
        make_burst(faces.to(DEVICE), 4, 1.2, generator=seeded[0]),
        make_burst(faces, 4, 1.2, generator=seeded[1]), strict=True,
    ):  # fmt: skip
        assert (one.cpu() - other).abs().max() <= 1.01 / 255
    for one, other in zip(
        make_clip(faces.to(DEVICE), 5, 4, 1.2, seeded[0]),
        make_clip(faces, 5, 4, 1.2, seeded[1]), strict=True,
    ):  # fmt: skip
        assert (one.cpu() - other).abs().max() <= 1.01 / 255


def test_augmentation_is_that_of_a_cpu() -> None:
    low, high = drawn(4, 5, 3, 8, 8).float(), drawn(4, 3, 32, 32, seed=1).float()
    shifts = (0.1 * drawn(4, 4, 64, 2, seed=2)).float()
    found = []
    for device in (DEVICE, CPU):
        torch.manual_seed(3)
        found.append(augment_clips(low.to(device), high.to(device), shifts.to(device)))
        found[-1] += (augment_faces(high.to(device), 0.5),)
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None
        close(one, other, 1e-5)


def test_pairs_of_stored_motion_are_those_of_a_cpu() -> None:
    low, motion = drawn(4, 5, 3, 8, 8).float(), (0.1 * drawn(4, 5, 64, 2, seed=1)).float()
    motion[1, 3] = torch.nan
    pairs = [
        draw_pairs(low.to(device), motion.to(device), torch.Generator().manual_seed(1))
        for device in (DEVICE, CPU)
    ]
    for one, other in zip(*pairs, strict=True):
        close(one, other)


def test_losses_and_metrics() -> None:
    one, two = drawn(3, 3, 32, 32), drawn(3, 3, 32, 32, seed=1)
    close(pixel_loss(here(one), here(two)), pixel_loss(one, two))
    close(psnr_luma(here(one), here(two)), psnr_luma(one, two))
    close(unit_features(here(one)), unit_features(one))
    torch.manual_seed(0)
    judge = FaceRecogniser(identities=4, width=0.0625, input_size=32).eval()
    expected = judge.double().forward_to(one, {"pool3", "fc7"})
    found = judge.float().to(DEVICE).forward_to(here(one), {"pool3", "fc7"})
    for layer, maps in expected.items():
        close(found[layer], maps, 1e-4)


def batch_on(device: torch.device) -> dict[str, Tensor]:
    """A batch as the loop hands it over: the clips on the device, keys on the host."""
    draw = torch.Generator().manual_seed(0)

    def pictures(*shape: int) -> Tensor:
        return torch.randint(256, shape, dtype=torch.uint8, generator=draw).to(device)

    motion = (0.05 * torch.randn(4, 5, 64, 2, generator=draw)).half()
    return {
        "low": pictures(4, 5, 8, 8, 3), "high": pictures(4, 32, 32, 3), "motion": motion.to(device),
        "order": torch.arange(4), "known": motion.isfinite().flatten(2).all(2),
    }  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("what", ["restoration", "fresh", "recogniser", "pretraining"])
def test_nothing_in_a_step_waits_for_the_gpu(what: str, precision: str) -> None:
    """PyTorch raises where the host would wait, in the steps after the first."""
    from infra.settings.optimiser import OptimiserSettings
    from infra.training.torch_engine import TorchEngine
    from model.objectives.curriculum import Curriculum

    device = torch.device("cuda", 0)
    network = build("f5warp", 4, 32, 0.25)
    judge = FaceRecogniser(identities=4, width=0.0625, input_size=32)
    objective: nn.Module = {
        "restoration": lambda: Restoration(
            network, 5, augment=True, curriculum=Curriculum(0.5, alignment=1.0)
        ),
        "fresh": lambda: Restoration(
            network, 5, augment=True, fresh=FreshBursts(0.5, 5, 1.2),
            curriculum=Curriculum(0.5, alignment=1.0),
        ),
        "recogniser": lambda: Restoration(network, 5, judge, {"pool3": 1.0}, augment=True),
        "pretraining": lambda: WarpKnownMotion(WarpPredictor(8), 1.2, stored_share=0.5),
    }[what]()  # fmt: skip
    options = OptimiserSettings.model_validate(
        {"steps": 1, "batch_size": 4, "precision": precision, "clip_gradient": 10.0}
    )
    engine = TorchEngine(objective, options, "cuda")
    batch = batch_on(device)
    for _ in range(3):
        engine.step(batch, 1e-4)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            engine.step(batch, 1e-4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
