"""The loop with the plain engine: steps, reports, resume to the same numbers, NaN, refusals."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from infra.errors import TrainingError
from infra.settings.optimiser import OptimiserSettings
from infra.training import loop
from infra.training.engine import Objective
from infra.training.loop import Arrays, train
from infra.training.plan import Plan
from infra.training.torch_engine import TorchEngine
from infra.training.torch_files import load_generators, save_generators

PLAN = Plan(steps=8, batch_size=4, learning_rate=0.01, log_every=2, checkpoint_every=4,
            fingerprint="a")  # fmt: skip


class Squares(Objective):
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


def test_the_generator_of_a_gpu_comes_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout on a GPU draws from it; a checkpoint of a CPU, or an older one, has none."""
    state = {"now": torch.tensor([1, 2, 3], dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: state["now"])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda new, device: state.update(now=new))
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    save_generators(tmp_path, 0, gpu)
    state["now"], before = torch.zeros(3, dtype=torch.uint8), torch.get_rng_state()
    torch.manual_seed(77)
    load_generators(tmp_path, 0, cpu)
    assert torch.equal(torch.get_rng_state(), before) and not state["now"].any()
    load_generators(tmp_path, 0, gpu)
    assert state["now"].tolist() == [1, 2, 3]
    save_generators(tmp_path, 1, cpu)
    load_generators(tmp_path, 1, gpu)
    assert state["now"].tolist() == [1, 2, 3]


def test_an_objective_is_told_each_step_after_a_resume_too(tmp_path: Path) -> None:
    class Told(Squares):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[tuple[int, int]] = []

        def at(self, step: int, steps: int) -> None:
            self.told.append((step, steps))

    run(PLAN, keep=tmp_path)
    for resume, first in ((None, 1), (tmp_path / "4", 5)):
        objective = Told()
        train(TorchEngine(objective), batches, lambda *_: None, PLAN, resume)
        assert objective.told == [(step, 8) for step in range(first, 9)]


def test_two_runs_give_the_same_losses() -> None:
    assert [row["loss"] for row in run(PLAN)[0]] == [row["loss"] for row in run(PLAN)[0]]


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    run(PLAN, keep=tmp_path)
    other = Plan(**{**PLAN.__dict__, "fingerprint": "b"})
    with pytest.raises(TrainingError, match="other settings"):
        run(other, resume=tmp_path / "4")


def poisoned(bad: set[int]) -> Callable[[int], Iterator[Arrays]]:
    """The batches, with a NaN in those of the 1-based steps `bad`."""

    def stream(row: int) -> Iterator[Arrays]:
        for step, batch in enumerate(batches(row), row // 4 + 1):
            if step in bad:
                batch["x"][2, 1] = np.nan
            yield batch

    return stream


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_update_with_a_nan_is_left_out_and_counted(precision: str, tmp_path: Path) -> None:
    """Weights and Adam's moments stay as they were: step 3 changes nothing, step 4 is as if the
    NaN batch had not been there. The count comes back from a checkpoint."""
    options = OptimiserSettings(steps=6, precision=precision)
    plan = Plan(**{**PLAN.__dict__, "steps": 6, "log_every": 1, "checkpoint_every": 4})
    engine = TorchEngine(Squares(), options)
    weights: list[Tensor] = []
    seen: list[dict[str, float]] = []

    def report(scalars: dict[str, float], folder: Path | None) -> None:
        seen.append(scalars)
        weights.append(engine.network.weight.detach().clone())
        if folder is not None:
            shutil.copytree(folder, tmp_path / str(scalars["step"]))

    train(engine, poisoned({3}), report, plan)
    assert [row["skipped"] for row in seen] == [0, 0, 1, 1, 1, 1]
    assert math.isnan(seen[2]["loss"])
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[2], weights[3]) and weights[5].isfinite().all()
    assert int(engine.optimiser.state[engine.network.weight]["step"]) == 5

    more: list[dict[str, float]] = []
    train(TorchEngine(Squares(), options), batches, lambda row, _: more.append(row), plan,
          resume_from=tmp_path / "4")  # fmt: skip
    assert [row["skipped"] for row in more] == [1, 1]


def test_too_many_in_a_row_stop_with_the_batch_in_a_file(tmp_path: Path) -> None:
    """Two alone are no reason to stop; three are, and the third is what is kept."""
    kept: dict[str, dict[str, Tensor]] = {}

    def keep(name: str, batch: dict[str, Tensor]) -> str:
        kept[name] = batch
        return f"here/{name}"

    plan = Plan(steps=20, batch_size=4, learning_rate=0.01, checkpoint_every=None, max_skipped=3)
    said = r"step 8: .*not finite, 3 steps in a row \(batch: here/bad-batch-8-0\)"
    with pytest.raises(TrainingError, match=said):
        train(TorchEngine(Squares()), poisoned({2, 3, 6, 7, 8}), lambda *_: None, plan, keep=keep)
    assert list(kept) == ["bad-batch-8-0"]
    assert kept["bad-batch-8-0"]["x"].isnan().sum() == 1


def test_an_infinite_gradient_of_a_finite_loss_is_left_out_too() -> None:
    """d√|w|/dw at w = 0 is infinite while the loss is 0."""

    class Root(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(1, 1, bias=False)
            nn.init.zeros_(self.network.weight)

        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"loss": self.network(batch["x"]).sqrt().sum()}

    engine = TorchEngine(Root())
    terms = engine.step({"x": torch.ones(2, 1)}, 0.1)
    assert terms["loss"] == 0 and not terms["finite"]
    assert engine.network.weight == 0


def test_time_runs_out_before_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step under way ends, is evaluated and saved; time spent before a resume counts.

    The clock is one that goes on by 10 ms whenever it is read, however busy the machine."""
    clock = count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock) / 100)
    plan = Plan(steps=10**6, batch_size=4, learning_rate=0.01, log_every=1, checkpoint_every=10**6,
                seconds=0.2, fingerprint="a")  # fmt: skip
    seen, _ = run(plan, keep=tmp_path)
    last = int(seen[-1]["step"])
    assert 1 < last < 10**6
    more, _ = run(plan, resume=tmp_path / str(last))
    assert [row["step"] for row in more] == [last + 1]


def test_evaluation_joins_the_report() -> None:
    plan = Plan(steps=4, batch_size=4, learning_rate=0.01, log_every=100, evaluate_every=2,
                checkpoint_every=None)  # fmt: skip
    seen: list[dict[str, float]] = []
    train(TorchEngine(Squares()), batches, lambda row, _: seen.append(row), plan,
          evaluate=lambda: {"psnr": 20.0})  # fmt: skip
    assert [(row["step"], row.get("validation_psnr")) for row in seen] == [
        (1, None), (2, 20.0), (4, 20.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "patience", "stops"),
    [
        ([1, 2, 2, 1, 0, 3, 4, 5], None, 8),
        ([1, 2, 2, 1, 0, 3, 4, 5], 2, 5),  # as good as the best starts the count anew
        ([5, 1, 1, 1, 6, 1, 1, 1], 3, 4),
        ([5, 1, 1, 6, 1, 1, 7, 8], 3, 8),
        ([math.nan, 2, 1, 3, math.nan, 4, 1, 1], 2, 8),  # NaN is no best that others fall short of
    ],
)
def test_patience_counts_validations_that_were_not_the_best(
    scores: list[float], patience: int | None, stops: int, tmp_path: Path
) -> None:
    """Stops at the first step with `patience` validations behind the last best; so does a resumed
    training, which has the count from its checkpoint."""
    plan = replace(PLAN, evaluate_every=1, score="quality", patience=patience)

    def train_on(left: list[float], resume: Path | None = None) -> list[int]:
        steps = []

        def report(scalars: dict[str, float], folder: Path | None) -> None:
            steps.append(int(scalars["step"]))
            assert folder is not None  # what is validated is saved
            if scalars["step"] == 3 and resume is None:
                shutil.copytree(folder, tmp_path / "third")

        given = iter(left)
        evaluate = lambda: {"quality": next(given)}  # noqa: E731
        train(TorchEngine(Squares()), batches, report, plan, resume, evaluate)
        return steps

    assert train_on(scores)[-1] == stops
    assert train_on(scores[3:], tmp_path / "third") == list(range(4, stops + 1))


def test_all_ranks_end_and_learn_by_one_clock() -> None:
    """That of the slowest: here another rank is always 100 s ahead of this one."""

    class BesideAnother(TorchEngine):
        def agree(self, seconds: float) -> float:
            return seconds + 100

    def trained_for(seconds: float) -> list[float]:
        rates: list[float] = []
        plan = Plan(steps=5, batch_size=1, learning_rate=1.0, schedule="cosine", seconds=seconds,
                    log_every=1, checkpoint_every=None)  # fmt: skip
        engine = BesideAnother(Squares())
        train(engine, batches, lambda scalars, _: rates.append(scalars["learning_rate"]), plan)
        return rates

    assert trained_for(50) == [1.0]
    # Half-way by the clock from the second step on, until the steps themselves are further.
    assert trained_for(200)[:3] == pytest.approx([1.0, 0.525, 0.525], abs=0.02)
