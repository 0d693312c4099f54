"""What the record of a training says of its end."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_jobs import STEPS, work
from workflows.training.dispatch import ended


@pytest.mark.parametrize(
    ("last", "patience", "minutes", "said"),
    [
        ({"step": 4, "not_best": 1.0}, 2, 0.5, f"after 0.5 min of {STEPS} steps"),
        ({"step": 4, "not_best": 2.0}, 2, 0.5, f"after no better validation of {STEPS} steps"),
        ({"step": 4}, 2, None, f"after no better validation of {STEPS} steps"),
        ({"step": 4}, None, 0.5, f"after 0.5 min of {STEPS} steps"),
        ({"step": STEPS, "not_best": 2.0}, 2, 0.5, None),
    ],
)
def test_the_true_reason_is_recorded(
    last: dict[str, float], patience: int | None, minutes: float | None, said: str | None,
    tmp_path: Path,
) -> None:  # fmt: skip
    todo = work(tmp_path, [], minutes=minutes)
    todo = replace(todo, plan=replace(todo.plan, patience=patience))
    assert ended(todo, last).get("stopped") == said
