"""The benchmark of verification: its figures are all there; no timing is judged."""

import json
from pathlib import Path

import pytest

from infra import progress
from workflows.benchmarks import command, evaluate

# Whole commands at toy size: not Ray, yet too long for unit tests.
pytestmark = pytest.mark.integration

SMALL = ["evaluate", "--pairs", "4", "--size", "32", "--width", "0.05", "--input-size", "32",
         "--batch", "3"]  # fmt: skip


def test_writes_the_figures_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "ALLOWED", 1e9)  # so small a network is all overhead
    monkeypatch.setattr(progress, "SPOKEN", -1)
    target = tmp_path / "figures.json"
    assert command.main([*SMALL, "--json", str(target)]) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert (figures["pairs"], figures["faces"], figures["machine"]["threads"]) == (4, 8, 1)
    assert figures["evaluate_seconds"] >= figures["verdict_seconds"] > 0
    ratio = figures["evaluate_seconds"] / figures["forward_seconds"]
    assert figures["ratio"] == pytest.approx(ratio)
    shown = capsys.readouterr().out
    assert f"| {figures['ratio']:.3f} |" in shown
    assert "[evaluate] 3 of 8 faces" in shown


def test_a_ratio_above_the_allowed_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "ALLOWED", 0.0)
    assert command.main(SMALL) == 1
    assert "times the forward pass" in capsys.readouterr().err
