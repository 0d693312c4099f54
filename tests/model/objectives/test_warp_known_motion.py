"""Pretraining of P on pairs of known motion."""

import pytest
import torch
from torch.nn import functional

from model.layers.warp_predictor import WarpPredictor
from model.objectives.warp_known_motion import WarpKnownMotion
from tests.support.objectives import stored


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
