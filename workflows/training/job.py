"""One training as data, in its two halves: what is sent to workers, and what each makes of it.

A stage describes its training as a TrainingJob. Its `build` makes the Trainee inside each worker,
and in that is everything that differs between the recogniser, the warp predictor and the
restoration network. driver.py trains it: on Ray with DeepSpeed (ray_train.py) or in this process
(in_process.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.settings.optimiser import OptimiserSettings
from infra.training.engine import Objective
from infra.training.plan import Plan

Panel = Callable[[], NDArray[np.uint8]]  # gives an H×W×3 picture
CHECKPOINTS = {"deepspeed": "checkpoints", "torch": "checkpoints-torch"}  # of each engine


@dataclass
class Trainee:
    """What a worker builds of a job: the objective, and what goes with it there."""

    objective: Objective
    metadata: dict[str, str]
    labels: dict[str, int] | None = None  # identity → class, where the objective wants "label"
    balanced: bool = False  # every identity equally often
    evaluate: Callable[[], dict[str, float]] | None = None
    panels: dict[str, Panel] = field(default_factory=dict)  # pictures for TensorBoard
    notes: list[str] = field(default_factory=list)  # what it starts from


@dataclass(frozen=True)
class TrainingJob:
    """One training, as a stage or a search describes it and the driver sends it to the workers."""

    name: str
    folder: str  # URI of the stage's folder, where events and weights go
    shards: list[str]
    options: OptimiserSettings
    plan: Plan
    seed: int
    build: Callable[[], Trainee]
    only_evaluated: bool = False  # Ray is told of its validations (a trial of a search)
    callbacks: list[Any] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)  # what a search chose


def plan_of(
    options: OptimiserSettings, rows: int, fingerprint: str, evaluate_every: int | None = None
) -> Plan:
    """The loop's plan for that many training clips; epochs become steps here.

    `fingerprint` is that of the stage: only its own checkpoints are gone on from.
    """
    rows_a_step = options.batch_size * options.workers
    steps = options.steps or max(1, round((options.epochs or 0) * rows / rows_a_step))
    return Plan(
        steps=steps,
        batch_size=options.batch_size,
        learning_rate=options.rate(),
        schedule=options.schedule,
        warmup=options.warmup,
        log_every=options.log_every,
        evaluate_every=evaluate_every,
        checkpoint_every=options.checkpoint_every,
        fingerprint=fingerprint,
        seconds=None if options.minutes is None else 60 * options.minutes,
        max_skipped=options.max_skipped,
    )
