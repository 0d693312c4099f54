"""The one training loop: batches in, weights and scalars out.

It serves every objective (recogniser, warp predictor, restoration) and every engine, and imports
neither Ray nor DeepSpeed: what `report` does with scalars and checkpoints is the caller's affair.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from infra.errors import FaultError, TrainingError
from infra.training.engine import Engine
from infra.training.non_finite import Keep, SkippedUpdates
from infra.training.optimiser_step import on_device
from infra.training.plan import Plan, due, judged, learning_rate
from infra.training.torch_files import load_generators, save_generators

Arrays = Mapping[str, np.ndarray]
Report = Callable[[dict[str, float], Path | None], None]


def train(
    engine: Engine,
    batches: Callable[[int], Iterator[Arrays]],
    report: Report,
    plan: Plan,
    resume_from: Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    keep: Keep | None = None,
) -> None:
    """Train for `plan.steps`, `plan.seconds` or while `plan.patience` lasts; may go on from a file.

    `batches(row)` iterates over batches of this rank from global row `row` on, so that a resumed
    training goes on with the clip after the last one seen. `report(scalars, folder)` is called
    alike on every rank; `folder` holds this rank's checkpoint files or is None. `evaluate` runs
    every `evaluate_every` steps and at the end; its scalars join the report as validation_*. Raises
    TrainingError where the checkpoint is of other settings, or too many updates in a row were not
    finite: `keep(name, batch)` then stores the batch.
    """
    state: dict[str, Any] = {"step": 0, "rows_seen": 0, "seconds": 0.0, "skipped": 0, "worse": 0}
    state |= {"best": -math.inf, "fingerprint": plan.fingerprint}
    if resume_from is not None:
        state |= _resume(engine, resume_from, plan.fingerprint)
    skipped = SkippedUpdates(plan.max_skipped, engine.rank, keep, state["skipped"])
    stream = batches(state["rows_seen"])
    rows_a_step = plan.batch_size * engine.world_size
    began = time.perf_counter() - state["seconds"]
    mark, rows_at_mark, waited = time.perf_counter(), state["rows_seen"], 0.0

    for step in range(state["step"] + 1, plan.steps + 1):
        asked = time.perf_counter()
        batch = on_device(next(stream), engine.device)
        waited += time.perf_counter() - asked
        rate = learning_rate(plan, step, state["seconds"])
        engine.objective.at(step, plan.steps)
        terms = engine.step(batch, rate)
        skipped.see(step, batch, terms.pop("finite"))
        seconds = time.perf_counter() - began
        last = step == plan.steps
        if plan.seconds is not None:
            # One time for all ranks: by it they end, and by it they learn at one rate.
            seconds = engine.agree(seconds)
            last |= seconds >= plan.seconds
        state.update(step=step, rows_seen=state["rows_seen"] + rows_a_step, seconds=seconds)
        evaluated = evaluate is not None and (last or due(step, plan.evaluate_every))
        # What is validated is saved as well, so that the best can be kept.
        saved = last or evaluated or due(step, plan.checkpoint_every)
        if not (last or step == 1 or evaluated or saved or due(step, plan.log_every)):
            continue
        skipped.settle()
        scalars = {name: float(value) for name, value in terms.items()}
        elapsed = max(time.perf_counter() - mark, 1e-9)
        scalars |= {
            "step": step,
            "learning_rate": rate,
            "skipped": skipped.count,
            "clips_per_second": (state["rows_seen"] - rows_at_mark) / elapsed,
            "loader_share": waited / elapsed,
        }
        if evaluated and evaluate is not None:
            with engine.result():
                scalars |= {f"validation_{name}": value for name, value in evaluate().items()}
            last |= judged(plan, state, scalars)
        state.update(skipped=skipped.count)
        _hand_over(engine, report, scalars, state if saved and plan.checkpoint_every else None)
        mark, rows_at_mark, waited = time.perf_counter(), state["rows_seen"], 0.0
        if last:
            break


def _resume(engine: Engine, folder: Path, fingerprint: str) -> dict[str, Any]:
    state = engine.load(folder)
    if state["fingerprint"] != fingerprint:
        raise TrainingError(f"{folder}: checkpoint of other settings; use another --run")
    load_generators(folder, engine.rank, engine.device)
    return state


def _hand_over(
    engine: Engine, report: Report, scalars: dict[str, float], state: dict[str, Any] | None
) -> None:
    if state is None:
        report(scalars, None)
        return
    with TemporaryDirectory() as folder:
        try:
            engine.save(Path(folder), state)
            save_generators(Path(folder), engine.rank, engine.device)
        except (OSError, RuntimeError) as error:  # torch.save meets a full disk with either
            raise FaultError(
                f"{folder}: the checkpoint of step {state['step']} cannot be written: "
                f"{str(error).splitlines()[0]}. Make room, and give the same command again"
            ) from error
        report(scalars, Path(folder))
