"""The benchmark of the network: its ways agree, its figures are all there; no timing is judged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workflows.benchmarks import command
from workflows.benchmarks import network as compared
from workflows.benchmarks.gpu import network as on_gpu

# Whole commands at toy size: not Ray, yet too long for unit tests.
pytestmark = pytest.mark.integration


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """f5warp, ×4 from 4×4 to 16×16: small, and still through the transforms of restore."""
    monkeypatch.setattr(compared, "VARIANT", "f5warp")
    monkeypatch.setattr(compared, "SCALE", 4)
    monkeypatch.setattr(compared, "SIZE", 16)
    monkeypatch.setattr(compared, "SGEMM", 16)


@pytest.mark.usefixtures("tiny")
def test_writes_the_figures_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    words = ["network", "--frames", "3", "--rounds", "1", "--json", str(target)]
    assert command.main(words) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert [row["way"] for row in figures["rows"]] == ["naive", "batched", "restore"]
    for row in figures["rows"]:
        assert 0 < row["ms_min"] <= row["ms"] <= row["ms_max"]
        assert min(row[key] for key in ("cpu_ms", "times_naive", "gmac", "gflops")) > 0
    naive, batched, _ = figures["rows"]
    assert naive["times_naive"] == batched["times_batched"] == 1
    assert batched["gmac"] == pytest.approx(figures["network_gmac"])
    assert figures["machine"]["threads"] == 1
    assert max(figures["differences"].values()) < 1e-5
    printed = capsys.readouterr().out
    assert all(f"| {row['way']} | {row['ms']:.0f} (" in printed for row in figures["rows"])


@pytest.mark.usefixtures("tiny")
def test_each_measurement_is_said_before_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([(0.02, 0.02), (0.16, 0.16)])
    monkeypatch.setattr(compared, "FRAMES", {"naive": 2, "batched": 2})
    monkeypatch.setattr(compared, "_timed", lambda *_: next(times))
    assert command.main(["network", "--frames", "2", "--rounds", "2"]) == 3, "ended by the third"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "[network] round 1/2: naive 10 ms a frame", "[network] round 1/2: batched 80 ms a frame",
    ]  # fmt: skip


@pytest.mark.usefixtures("tiny")
def test_naive_is_the_network_and_sees_every_frame() -> None:
    network, film = compared.prepared(), torch.rand(2, 3, 4, 4)
    with torch.no_grad():
        given = compared.naive(network, film, 1)
        assert (given - compared.batched(network, film, 1)).abs().max() < 1e-5
        # The comparison means something: a neighbour, and where it is read, change the result.
        film[1] = 0
        assert (given - compared.naive(network, film, 1)).abs().max() > 1e-3
        assert network.predictor is not None
        unmoved = compared.naive(network, film, 1)
        network.predictor.last.weight.zero_()
        assert (unmoved - compared.naive(network, film, 1)).abs().max() > 1e-4


@pytest.mark.usefixtures("tiny")
def test_ways_that_differ_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compared, "restore", lambda network, film: torch.zeros(2, 3, 16, 16))
    assert command.main(["network", "--frames", "2", "--rounds", "1"]) == 1
    assert "the ways differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
            ],
        ),
    ],
)
def test_rows_of_a_gpu(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU too, where they only run; what has not run says why, and the rest is there."""
    monkeypatch.delitem(on_gpu.WAYS, "compiled")  # half a minute
    sizes = replace(on_gpu.TINY, size=16, frames=6, batch=2, matrix=64, rounds=1)
    saved: list[int] = []
    figures = on_gpu.measure(device, sizes, lambda found: saved.append(len(found["ways"])))
    assert [(row["variant"], row["precision"]) for row in figures["variants"]] == [
        (variant, precision) for variant in sizes.variants for precision in ("fp32", "tf32", "bf16")
    ]
    assert all(row["difference_to_fp32"] < 0.1 for row in figures["variants"])
    assert saved[0] == 0 and saved[-1] == 4
    assert [row["way"] for row in figures["ways"] if "error" not in row] == (
        ["eager", "channels_last", "cuDNN searched", *["CUDA graph"] * (device == "cuda")]
    )
    table = on_gpu.table(figures)
    assert "| f25warp | bf16 |" in table and "| R of f25warp alone | bf16 |" in table
    assert ("CUDA graph | not measured: " in table) is (device == "cpu")
