"""The loop with the plain engine: steps, reports, resume to the same numbers, refusals."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from infra.engines import TorchEngine
from infra.errors import TrainingError
from infra.loop import Arrays, Plan, learning_rate, train

PLAN = Plan(steps=8, batch_size=4, learning_rate=0.01, log_every=2, checkpoint_every=4,
            fingerprint="a")  # fmt: skip


class Squares(nn.Module):
    """‖W x + noise‖²; the noise stands for augmentation, drawn from torch's own generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.network = nn.Linear(3, 2)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = batch["x"] + 0.1 * torch.randn_like(batch["x"])
        return {"loss": self.network(moved).square().mean()}


def batches(row: int) -> Iterator[Arrays]:
    """Row n of the endless data set is drawn from n alone."""
    while True:
        rows = [np.random.default_rng(r).normal(size=3) for r in range(row, row + 4)]
        yield {"x": np.array(rows, np.float32)}
        row += 4


def run(
    plan: Plan, resume: Path | None = None, keep: Path | None = None
) -> tuple[list[dict[str, float]], nn.Module]:
    objective = Squares()
    seen: list[dict[str, float]] = []

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        seen.append(scalars)
        if folder is not None and keep is not None:
            shutil.copytree(folder, keep / str(scalars["step"]))

    torch.manual_seed(2)
    train(TorchEngine(objective), batches, report, plan, resume)
    return seen, objective.network


def test_learning_lowers_the_loss_and_reports_at_the_right_steps() -> None:
    seen, _ = run(Plan(steps=200, batch_size=4, learning_rate=0.05, log_every=50,
                       checkpoint_every=None))  # fmt: skip
    assert [row["step"] for row in seen] == [1, 50, 100, 150, 200]
    assert seen[-1]["loss"] < 0.1 * seen[0]["loss"]
    assert all(row["clips_per_second"] > 0 for row in seen)


def test_stop_and_resume_equals_an_uninterrupted_training(tmp_path: Path) -> None:
    """2N steps = N steps, checkpoint, N steps: same losses, same weights, to the last bit."""
    whole, straight = run(PLAN, keep=tmp_path)
    torch.manual_seed(99)  # a new process has another state of the generator
    rest, resumed = run(PLAN, resume=tmp_path / "4")
    assert [(row["step"], row["loss"]) for row in rest] == [
        (row["step"], row["loss"]) for row in whole if row["step"] > 4
    ]
    for one, two in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)


def test_two_runs_give_the_same_losses() -> None:
    assert [row["loss"] for row in run(PLAN)[0]] == [row["loss"] for row in run(PLAN)[0]]


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    run(PLAN, keep=tmp_path)
    other = Plan(**{**PLAN.__dict__, "fingerprint": "b"})
    with pytest.raises(TrainingError, match="other settings"):
        run(other, resume=tmp_path / "4")


def test_a_loss_that_is_not_finite_stops_with_the_step() -> None:
    plan = Plan(steps=50, batch_size=4, learning_rate=1e30, log_every=1, checkpoint_every=None)
    with pytest.raises(TrainingError, match=r"step \d+: the loss is (nan|inf)"):
        run(plan)


def test_evaluation_joins_the_report() -> None:
    plan = Plan(steps=4, batch_size=4, learning_rate=0.01, log_every=100, evaluate_every=2,
                checkpoint_every=None)  # fmt: skip
    seen: list[dict[str, float]] = []
    train(TorchEngine(Squares()), batches, lambda row, _: seen.append(row), plan,
          evaluate=lambda: {"psnr": 20.0})  # fmt: skip
    assert [(row["step"], row.get("validation_psnr")) for row in seen] == [
        (1, None), (2, 20.0), (4, 20.0),
    ]  # fmt: skip


def test_warm_up_rises_linearly() -> None:
    plan = Plan(steps=10, batch_size=1, learning_rate=1.0, warmup=3)
    rates = [learning_rate(plan, step) for step in range(1, 6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_cosine_falls_to_a_twentieth() -> None:
    plan = Plan(steps=11, batch_size=1, learning_rate=1.0, schedule="cosine")
    rates = [learning_rate(plan, step) for step in range(1, 12)]
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(0.525)  # half-way: the mean of 1 and 0.05
    assert rates[-1] == pytest.approx(0.05)
    assert rates == sorted(rates, reverse=True)
