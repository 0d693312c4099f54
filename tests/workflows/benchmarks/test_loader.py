"""The benchmark of the loader at toy size; no timing is judged."""

import json
from pathlib import Path

import pytest

from workflows.benchmarks import command, loader

# Whole commands at toy size: not Ray, yet too long for unit tests.
pytestmark = pytest.mark.integration


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """f5warp, ×4 from 8×8 to 32×32, and few reads."""
    for name, value in {"SCALE": 4, "SIZE": 32, "BATCH": 3, "READ_BATCHES": 4, "CORES": 1}.items():
        monkeypatch.setattr(loader, name, value)


@pytest.mark.usefixtures("tiny")
def test_writes_the_figures_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    words = ["loader", "--clips", "20", "--rounds", "2", "--json", str(target)]
    assert command.main(words) == 0
    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["clips"] == 20
    # low 25×8×8×3, high and neighbour 32×32×3 each, neighbour_offset 4 bytes
    assert found["bytes_a_clip"] == 25 * 8 * 8 * 3 + 2 * 32 * 32 * 3 + 4
    assert 0 < found["loader_clips_per_second_min"] <= found["loader_clips_per_second"]
    # 989 TFLOP/s at 40 %, a clip being 2 operations · 3 passes · GMAC
    assert found["gpu_clips_per_second"] == pytest.approx(989e12 * 0.4 / (6e9 * found["gmac"]))
    each = found["gpu_clips_per_second"] / found["loader_clips_per_second"]
    assert found["gpu_loader_processes"] - 1 < each <= found["gpu_loader_processes"]
    assert f"{found['loader_clips_per_second']:.0f} (" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_each_round_is_said_before_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, trained = iter([(0.3, 0.3)]), iter([1.0, 1.5])  # the first warms up
    monkeypatch.setattr(loader, "_read", lambda _: next(read))
    monkeypatch.setattr(loader, "_train", lambda *_: next(trained))
    assert command.main(["loader", "--clips", "20", "--rounds", "2"]) == 3, "ended by the second"
    assert capsys.readouterr().out.splitlines() == [
        "[loader] writing 20 clips of drawn faces",
        "[loader] round 1/2: 10 clips/s read, 2.0 trained on",
    ]
