"""How long a training goes, how fast it learns, and how often it speaks."""

import math
from dataclasses import dataclass
from typing import Any, Literal


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
    seconds: float | None = None  # of training in all, with what came before a resume
    max_skipped: int = 25  # updates in a row
    score: str = "psnr"  # the validation that says which checkpoint is the best
    best: bool = False  # the result is the best checkpoint, not the last weights
    patience: int | None = None  # validations without a better one before training stops


def learning_rate(plan: Plan, step: int, seconds: float = 0.0) -> float:
    """The step size of 1-based `step`: constant, or a half cosine down to a twentieth.

    The cosine goes by the steps, or by the `seconds` trained so far where the plan's end by the
    clock comes first, so that a training of so many minutes ends at the small rate too. The first
    `warmup` steps rise linearly to it: Adam's first steps are as long as its later ones,
    on gradients of one batch.
    """
    rate = plan.learning_rate * min(1.0, step / (plan.warmup + 1))
    if plan.schedule == "constant":
        return rate
    share = (step - 1) / max(1, plan.steps - 1)
    if plan.seconds is not None:
        share = min(1.0, max(share, seconds / plan.seconds))
    return rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


def judged(plan: Plan, state: dict[str, Any], scalars: dict[str, float]) -> bool:
    """Note a validation in the training's state; whether `patience` of them were not the best.

    With patience, the scalars say how many: `not_best`. NaN is not the best.
    """
    score = scalars.get(f"validation_{plan.score}", -math.inf)
    state["worse"] = 0 if score >= state["best"] else state["worse"] + 1
    state["best"] = max(state["best"], score)  # in this order NaN is never kept
    if plan.patience is None:
        return False
    scalars["not_best"] = state["worse"]
    return state["worse"] >= plan.patience


def due(step: int, every: int | None) -> bool:
    """Whether what happens every so many steps happens at this one."""
    return every is not None and step % every == 0
