"""Whose motion R is given and when P learns, by the step; P's distance from stored motion."""

import pytest
import torch

from model.network import Network, build
from model.objectives.curriculum import Curriculum, alignment_error, stored_motion
from model.objectives.restoration import Restoration
from model.pixels import to_pixels
from model.thin_plate_spline import dense_field

NAN = float("nan")


def network(variant: str = "f3warp") -> Network:
    torch.manual_seed(0)
    built = build(variant, scale=4, size=32, width=0.25, start="kaiming")
    assert isinstance(built, Network) and built.predictor is not None
    torch.nn.init.normal_(built.predictor.last.weight, std=0.05)
    return built


def stored(count: int = 3) -> dict[str, torch.Tensor]:
    """Clips of 5 frames; of the motion of the last one a frame next to the centre is unknown."""
    generator = torch.Generator().manual_seed(1)
    motion = 0.1 * torch.randn(count, 5, 64, 2, generator=generator)
    motion[:, 2] = 0
    motion[-1, 3] = NAN
    return {
        "low": torch.randint(0, 256, (count, 5, 8, 8, 3), dtype=torch.uint8, generator=generator),
        "high": torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator),
        "motion": motion,
        "order": torch.arange(count),
    }


def given(objective: Restoration, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The shifts that R's network is given for a batch."""
    seen: list[torch.Tensor] = []
    hook = objective.network.register_forward_pre_hook(
        lambda _, __, named: seen.append(named["shifts"]), with_kwargs=True
    )
    objective(batch)
    hook.remove()
    return seen[0].detach()


def test_rate_and_truth_over_the_steps() -> None:
    """P held for 4 of 24 steps, its rate up to 0.5 over 2 more; stored motion for 6."""
    plan = Curriculum(warp_rate=0.5, true_motion=0.25, warp_after=1 / 6)
    rates = [plan.rate(step, 24) for step in range(1, 9)]
    assert rates == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.5, 0.5])
    assert [plan.gives_truth(step, 24) for step in range(5, 9)] == [True, True, False, False]
    assert [Curriculum(0.5).rate(step, 24) for step in (1, 24)] == [0.5, 0.5]
    assert not Curriculum().gives_truth(1, 24)
    assert Curriculum(0.0, warp_after=0.5).rate(24, 24) == 0
    assert Curriculum(true_motion=1.0).gives_truth(24, 24)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_r_is_given_stored_motion_of_clips_that_have_it_all_then_ps(rate: float) -> None:
    """Held or learning, in the first half of the steps and in the second."""
    net, batch = network(), stored()
    objective = Restoration(net, 3, curriculum=Curriculum(rate, true_motion=0.5))
    predicted = net.predicted_shifts(to_pixels(batch["low"][:, 1:4], torch.device("cpu")))
    objective.at(4, 8)
    found = given(objective, batch)
    assert torch.equal(found[:2], batch["motion"][:2, [1, 3]])
    torch.testing.assert_close(found[2], predicted[2].detach())
    objective.at(5, 8)
    torch.testing.assert_close(given(objective, batch), predicted.detach())


def test_a_held_predictor_takes_no_part_and_a_learning_one_does() -> None:
    net, batch = network(), stored()
    objective = Restoration(net, 3, curriculum=Curriculum(0.5, warp_after=0.5))
    assert net.predictor is not None
    objective.at(4, 8)
    objective(batch)["loss"].backward()
    assert all(value.grad is None for value in net.predictor.parameters())
    assert len(objective.motion.held.kept) == 3 and objective.rates["network.predictor"] == 0
    objective.at(5, 8)
    objective(batch)["loss"].backward()
    assert net.predictor.last.weight.grad is not None and net.predictor.last.weight.grad.any()
    assert not objective.motion.held.kept and objective.rates["network.predictor"] == 0.5


def test_what_is_held_is_of_the_clip_as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Augmented anew at each step, a clip is given the shifts of its first time, mirrored and
    played backwards with it."""
    net, batch = network(), {**stored(1)}
    objective = Restoration(net, 3, augment=True, curriculum=Curriculum(0.0))
    (as_stored,) = net.predicted_shifts(to_pixels(batch["low"][:, 1:4], torch.device("cpu")))
    found = {tuple(given(objective, batch)[0, 0, 5].tolist()) for _ in range(40)}
    mirrored = as_stored[:, 2] * torch.tensor([-1, 1])  # column 5 of the first row from the right
    expected = torch.cat((as_stored[:, 5], mirrored)).detach()
    assert len(found) == 4
    for row in expected:
        assert any(torch.allclose(row, torch.tensor(other)) for other in found)


def test_alignment_is_the_mean_squared_distance_of_the_fields() -> None:
    """(1/n) Σ_frames Σ_pixels |s (f_P - f_true)|² / 64, s = 4 low pixels a unit, where frames whose
    motion is not known count as 0 and give no gradient; two halves have the mean of the whole."""
    motion = stored_motion(stored(), 3, torch.device("cpu"))
    predicted = (0.1 * torch.randn(3, 2, 64, 2)).requires_grad_()
    total, frames = 0.0, 0
    for clip in range(3):
        for place in range(2):
            if motion[clip, place].isfinite().all():
                apart = dense_field(predicted[clip, place][None], 8, 8) - dense_field(
                    motion[clip, place][None], 8, 8
                )
                for y in range(8):
                    for x in range(8):
                        dx, dy = (4 * apart[0, y, x]).tolist()
                        total += (dx * dx + dy * dy) / 64
            frames += 1
    assert frames == 6
    found = alignment_error(predicted, motion, 8)
    parts = [alignment_error(predicted[at : at + 1], motion[at : at + 1], 8) for at in range(3)]
    assert torch.stack(parts).mean().item() == pytest.approx(found.item(), rel=1e-5)
    assert found.item() == pytest.approx(total / frames, rel=1e-4)
    found.backward()
    assert predicted.grad is not None and predicted.grad.isfinite().all()
    assert predicted.grad[:2].any() and not predicted.grad[2, 1].any()


def test_alignment_is_zero_where_no_motion_is_known() -> None:
    predicted = torch.randn(2, 2, 64, 2, requires_grad=True)
    found = alignment_error(predicted, torch.full((2, 2, 64, 2), NAN), 8)
    found.backward()
    assert found == 0 and predicted.grad is not None and not predicted.grad.any()


def test_alignment_joins_the_loss_while_p_learns() -> None:
    net, batch = network(), stored()
    plan = Curriculum(0.5, warp_after=0.5, alignment=30.0)
    objective = Restoration(net, 3, curriculum=plan)
    objective.at(1, 2)
    assert "alignment" not in objective(batch)
    objective.at(2, 2)
    terms = objective(batch)
    assert terms["alignment"] > 0 and not terms["alignment"].requires_grad
    expected = terms["pixel"] + 30 * terms["alignment"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_stored_motion_is_cut_to_the_window_and_may_be_float16() -> None:
    batch = stored(2)
    batch["motion"] = batch["motion"].half()
    found = stored_motion(batch, 3, torch.device("cpu"))
    assert found.dtype == torch.float32
    assert torch.equal(found[0], batch["motion"][0, [1, 3]].float())


def test_columns_are_those_that_some_step_takes() -> None:
    assert Curriculum(0.0, alignment=1.0).columns() == []
    assert Curriculum(0.5, alignment=1.0).columns() == ["motion"]
    assert Curriculum(0.0, true_motion=0.1).columns() == ["motion"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch by torch
def test_a_compiled_objective_goes_through_the_same_phases() -> None:
    """Traced (the code is not generated): the same losses, the memory of held shifts beside it."""
    plan = Curriculum(0.5, true_motion=0.25, warp_after=0.5, alignment=1.0)
    losses = []
    for compiled in (False, True):
        objective = Restoration(network(), 3, curriculum=plan)
        if compiled:
            objective.compile(backend="eager")
        found = []
        for step in range(1, 5):
            objective.at(step, 4)
            found.append(objective(stored())["loss"])
            assert len(objective.motion.held.kept) == (3 if step < 3 else 0)
        losses.append(torch.stack(found).detach())
    assert losses[0][0] != losses[0][1]
    torch.testing.assert_close(losses[0], losses[1])
