"""The losses of 20 steps at a fixed seed: a change that is to leave the numbers alone leaves these.

Whoever changes them on purpose writes the new ones down, and says why in the commit. One thread or
two, AVX2 or AVX512 differ by 0.2 % at most.
"""

import numpy as np
import pytest
import torch

from datasets.degrade import degrade_track
from infra.settings.optimiser import OptimiserSettings
from infra.training.torch_engine import TorchEngine
from model.layers.warp_predictor import WarpPredictor
from model.linear_fit import fit_linear, start_linear
from model.network import Network, build
from model.objectives.curriculum import Curriculum
from model.objectives.recognition import Recognition
from model.objectives.restoration import Restoration
from model.objectives.warp_known_motion import WarpKnownMotion
from model.objectives.warp_photometric import WarpPhotometric
from model.perceptual import FaceRecogniser
from model.pixels import Batch, to_pixels
from tests.support.media import moving_texture

COUNT, FRAMES, SIZE, SCALE = 8, 5, 32, 4
STEPS = (1, 5, 10, 20)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Textures that move by whole high pixels, and by how much."""
    draw = np.random.default_rng(0)
    low, high, neighbour, motion = [], [], [], []
    for _ in range(COUNT):
        film, moved = moving_texture(draw, FRAMES, SIZE, margin=4, sigma=2, levels=20)
        low.append(degrade_track(film, SCALE, 1.2))
        high.append(film[FRAMES // 2])
        neighbour.append(film[FRAMES // 2 + 1])
        motion.append(moved)
    arrays = {"low": low, "high": high, "neighbour": neighbour, "motion": motion,
              "neighbour_offset": np.ones(COUNT, np.int64),
              "label": np.arange(COUNT, dtype=np.int64)}  # fmt: skip
    return {name: torch.from_numpy(np.stack(values)) for name, values in arrays.items()}


def losses(objective: torch.nn.Module, batch: Batch, rate: float) -> list[float]:
    engine = TorchEngine(objective, OptimiserSettings(steps=20, learning_rate=rate))
    found = [float(engine.step(dict(batch), rate)["loss"]) for _ in range(max(STEPS))]
    return [found[step - 1] for step in STEPS]


def restoration(batch: Batch, variant: str) -> Restoration:
    torch.manual_seed(0)
    network = build(variant, SCALE, SIZE, 0.25)
    assert isinstance(network, Network)
    radius = network.num_frames // 2
    window = batch["low"][:, FRAMES // 2 - radius : FRAMES // 2 + radius + 1]
    low, truth = to_pixels(window, CPU), to_pixels(batch["high"], CPU)
    start_linear(network, fit_linear(network, low, truth))
    return Restoration(network, network.num_frames, curriculum=Curriculum(0.5, alignment=100.0))


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("f1", [4.10774, 16.848, 9.77544, 4.3439]),
        ("f5warp", [51.7969, 62.0206, 41.5626, 12.9928]),
    ],
)
def test_restoration(batch: Batch, variant: str, expected: list[float]) -> None:
    assert losses(restoration(batch, variant), batch, 5e-5) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (1.0, [0.851562, 0.995942, 0.322519, 0.174399]),
        (0.0, [0.119999, 0.493848, 0.240863, 0.326772]),
    ],
)
def test_pretraining(batch: Batch, stored: float, expected: list[float]) -> None:
    torch.manual_seed(0)
    objective = WarpKnownMotion(WarpPredictor(SIZE // SCALE), 1.2, stored_share=stored)
    assert losses(objective, batch, 3e-4) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("low", [0.953122, 0.613312, 0.540006, 0.412659]),
        ("high", [25.3956, 5.56317, 7.44721, 2.62679]),
    ],
)
def test_photometric_pretraining(batch: Batch, target: str, expected: list[float]) -> None:
    torch.manual_seed(0)
    objective = WarpPhotometric(WarpPredictor(SIZE // SCALE), FRAMES, target)
    assert losses(objective, batch, 3e-4) == pytest.approx(expected, rel=5e-3)


def test_recognition(batch: Batch) -> None:
    torch.manual_seed(0)
    objective = Recognition(FaceRecogniser(identities=COUNT, width=0.0625, input_size=32))
    assert losses(objective, batch, 1e-2) == pytest.approx(
        [2.08251, 2.1229, 2.07271, 2.05362], rel=5e-3
    )


def test_perceptual_restoration(batch: Batch) -> None:
    """All terms of eq. (6), with a recogniser as it was drawn."""
    torch.manual_seed(0)
    recogniser = FaceRecogniser(identities=2, width=0.0625, input_size=32)
    network = build("f5", SCALE, SIZE, 0.25)
    objective = Restoration(
        network, 5, recogniser, dict.fromkeys(("pool3", "pool4", "fc7"), 10.0), augment=True
    )
    assert losses(objective, batch, 1e-4) == pytest.approx(
        [11.4174, 40.2433, 29.512, 8.63449], rel=5e-3
    )
