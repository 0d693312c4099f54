"""Differences between methods on the same clips."""

import numpy as np
import pytest

from workflows.evaluation.measured import MEASURES, Measured
from workflows.evaluation.paired_differences import (
    RESAMPLES,
    difference,
    differences,
    pairs_of,
    table,
)
from workflows.shared.tables import markdown


def test_who_is_compared_with_whom() -> None:
    rows = ["ground_truth", "low", "bicubic", "f1", "f5", "f5warp", "mine"]
    assert pairs_of(rows) == [
        ("f1", "bicubic"), ("f5", "bicubic"), ("f5", "f1"), ("f5warp", "bicubic"),
        ("f5warp", "f1"), ("f5warp", "f5"), ("mine", "bicubic"), ("mine", "f1"),
    ]  # fmt: skip


def test_the_interval_is_that_of_a_naive_bootstrap_over_people() -> None:
    """Draw P of P people with replacement, take all clips of each, average; 2.5 and 97.5 % of the
    averages. With 24 people of 1 to 5 clips the two bootstraps agree to their chance."""
    draw = np.random.default_rng(0)
    people = np.repeat([f"p{n}" for n in range(24)], 1 + np.arange(24) % 5)
    values = (
        draw.normal(0.3, 0.5, len(people))
        + draw.normal(0, 0.5, 24)[np.unique(people, return_inverse=True)[1]]
    )
    found = difference(values, people, seed=1)
    averages = []
    for _ in range(RESAMPLES):
        chosen = draw.choice(np.unique(people), 24)
        averages.append(np.mean(np.concatenate([values[people == name] for name in chosen])))
    assert found["interval"] == pytest.approx(np.quantile(averages, [0.025, 0.975]), abs=0.04)
    assert found["psnr"] == pytest.approx(values.mean(), abs=5e-4)
    assert found["clips_better"] == pytest.approx(100 * np.mean(values > 0), abs=0.05)
    assert found["people_better"] == sum(values[people == n].mean() > 0 for n in np.unique(people))
    assert found["people"] == 24


def test_only_clips_that_both_have_count_and_one_person_has_no_interval() -> None:
    rows = ["ground_truth", "low", "bicubic", "f1", "mine"]
    values = np.full((3, 5, len(MEASURES)), np.nan)
    psnr = MEASURES.index("psnr")
    values[:, 2, psnr] = 20.0
    values[:, 3, psnr] = [20.5, 21.0, 19.0]
    values[:1, 4, psnr] = 22.0
    none = np.zeros((0, 5, 1), np.float32)
    measured = Measured(["a", "b", "c"], ["Ann", "Ann", "Bob"], values, none, None)
    found = {(row["method"], row["against"]): row for row in differences(measured, rows, 0)}
    assert found["mine", "f1"] == {
        "method": "mine", "against": "f1", "psnr": 1.5, "interval": None, "clips_better": 100.0,
        "people_better": 1, "people": 1,
    }  # fmt: skip
    assert found["f1", "bicubic"]["psnr"] == pytest.approx(0.167)
    assert found["f1", "bicubic"]["interval"] == [-1.0, 0.75]
    text = markdown(table(list(found.values())))
    assert "| f1 | bicubic | +0.167 | -1.000 to +0.750 | 67 | 1 of 2 |" in text
    values[:, 4] = np.nan
    assert all(row["method"] != "mine" for row in differences(measured, rows, 0))
