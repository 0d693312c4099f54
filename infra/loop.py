"""The one training loop: batches in, weights and scalars out.

It serves every objective (recogniser, warp predictor, restoration) and every engine, and imports
neither Ray nor DeepSpeed: what `report` does with scalars and checkpoints is the caller's affair.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from infra.engines import Engine
from infra.errors import FaultError, TrainingError

Arrays = Mapping[str, np.ndarray]
Report = Callable[[dict[str, float], Path | None], None]


@dataclass(frozen=True)
class Plan:
    """How long to train, and how often to speak, validate and save [steps]."""

    steps: int
    batch_size: int
    learning_rate: float
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    log_every: int = 10
    evaluate_every: int | None = None
    checkpoint_every: int | None = 100
    fingerprint: str = ""


def train(
    engine: Engine,
    batches: Callable[[int], Iterator[Arrays]],
    report: Report,
    plan: Plan,
    resume_from: Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train for `plan.steps` optimiser steps, from a checkpoint where one is given.

    `batches(row)` iterates over batches of this rank from global row `row` on, so that a resumed
    training goes on with the clip after the last one seen. `report(scalars, folder)` is called
    alike on every rank; `folder` holds this rank's checkpoint files or is None. `evaluate` runs
    every `evaluate_every` steps and at the end; its scalars join the report as validation_*. Raises
    TrainingError where the loss is not finite or the checkpoint is of other settings.
    """
    state: dict[str, Any] = {"step": 0, "rows_seen": 0, "fingerprint": plan.fingerprint}
    if resume_from is not None:
        state = engine.load(resume_from)
        if state["fingerprint"] != plan.fingerprint:
            raise TrainingError(f"{resume_from}: checkpoint of other settings; use another --run")
        generator = resume_from / f"generator-{engine.rank}.pt"
        if generator.exists():  # absent where there were fewer workers
            torch.set_rng_state(torch.load(generator, weights_only=True))
    stream = batches(state["rows_seen"])
    rows_a_step = plan.batch_size * engine.world_size
    mark, rows_at_mark, waited = time.perf_counter(), state["rows_seen"], 0.0

    for step in range(state["step"] + 1, plan.steps + 1):
        asked = time.perf_counter()
        batch = {name: torch.from_numpy(values) for name, values in next(stream).items()}
        waited += time.perf_counter() - asked
        rate = learning_rate(plan, step)
        terms = engine.step(batch, rate)
        state.update(step=step, rows_seen=state["rows_seen"] + rows_a_step)

        last = step == plan.steps
        evaluated = evaluate is not None and (last or _due(step, plan.evaluate_every))
        # What is validated is saved as well, so that the best can be kept.
        saved = last or evaluated or _due(step, plan.checkpoint_every)
        if not (last or step == 1 or evaluated or saved or _due(step, plan.log_every)):
            continue
        scalars = {name: float(value) for name, value in terms.items()}
        if not math.isfinite(scalars["loss"]):
            raise TrainingError(f"step {step}: the loss is {scalars['loss']}; lower learning_rate")
        elapsed = time.perf_counter() - mark
        scalars |= {
            "step": step,
            "learning_rate": rate,
            "clips_per_second": (state["rows_seen"] - rows_at_mark) / max(elapsed, 1e-9),
            "loader_share": waited / max(elapsed, 1e-9),
        }
        if evaluated and evaluate is not None:
            scalars |= {f"validation_{name}": value for name, value in evaluate().items()}
        _hand_over(engine, report, scalars, state if saved and plan.checkpoint_every else None)
        mark, rows_at_mark, waited = time.perf_counter(), state["rows_seen"], 0.0


def learning_rate(plan: Plan, step: int) -> float:
    """The step size of 1-based `step`: constant, or a half cosine down to a twentieth.

    The first `warmup` steps rise linearly to it: Adam's first steps are as long as its later ones,
    on gradients of one batch.
    """
    rate = plan.learning_rate * min(1.0, step / (plan.warmup + 1))
    if plan.schedule == "constant":
        return rate
    share = (step - 1) / max(1, plan.steps - 1)
    return rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _hand_over(
    engine: Engine, report: Report, scalars: dict[str, float], state: dict[str, Any] | None
) -> None:
    if state is None:
        report(scalars, None)
        return
    with TemporaryDirectory() as folder:
        try:
            engine.save(Path(folder), state)
            # Augmentation draws from torch's generator, on each rank from its own.
            torch.save(torch.get_rng_state(), Path(folder) / f"generator-{engine.rank}.pt")
        except (OSError, RuntimeError) as error:  # torch.save meets a full disk with either
            raise FaultError(
                f"{folder}: the checkpoint of step {state['step']} cannot be written: "
                f"{str(error).splitlines()[0]}. Make room, and give the same command again"
            ) from error
        report(scalars, Path(folder))
