"""The benchmark of enhance: how its figures are made; and at toy size, no timing judged."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from model.network import Network, build
from model.streaming import restore
from model.weights import save_weights
from workflows.benchmarks import command
from workflows.benchmarks import enhance as bench
from workflows.benchmarks.enhancing import plain_loop
from workflows.benchmarks.enhancing.alone import CLOCK
from workflows.benchmarks.enhancing.apart import Taken, apart, on_cores
from workflows.benchmarks.enhancing.rates import once_started, rows_of, shares_of
from workflows.benchmarks.process_usage import PERIOD, watching
from workflows.shared.restoring import to_bytes


def test_the_start_is_taken_off_but_for_what_its_faces_take() -> None:
    """Of 100 faces in 30 s and 10 in 12 s, of which 2 are theirs, 20 s are for the faces."""
    alone = Taken(clock=20, busy=10, faces=100)
    found = once_started(Taken(30, 50, 100), Taken(12, 6, 10), alone)
    assert (found.clock, found.busy, found.faces) == (20, 45, 100)
    assert once_started(Taken(1, 1, 100), Taken(9, 9, 0), alone).clock > 0


def test_ratios_are_within_a_round() -> None:
    """A machine that is five times as slow in the second round changes none of them."""
    rows = rows_of(
        {
            "plain": [Taken(8, 16, 80), Taken(40, 80, 80)],
            "in process": [Taken(10, 10, 80), Taken(50, 50, 80)],
            "stage 2": [Taken(4, 8, 80), Taken(20, 40, 80)],
        }
    )
    row = {row["way"]: row for row in rows}["stage 2"]
    assert row["rate_to_plain"] == pytest.approx(2)
    assert row["cpu_to_plain"] == pytest.approx(0.5)
    assert row["cpu_to_in_process"] == pytest.approx(0.8)
    assert row["cores_busy"] == pytest.approx(2)
    assert (row["faces_per_second_min"], row["faces_per_second_max"]) == (4, 20)


def test_shares_are_those_of_processor_time() -> None:
    assert shares_of({"decode": 1, "restore": 3, CLOCK: 7}) == {"decode": 0.25, "restore": 0.75}


def figures(**changed: object) -> bench.Figures:
    """Figures of a run in which everything is reached, by a hair."""
    taken = {
        "plain": [Taken(10, 18, 100)], "in process": [Taken(10, 10, 100)],
        "stage 1": [Taken(11, 10.9, 100)], "stage 2": [Taken(5.5, 11, 100)],
    }  # fmt: skip
    return {
        "source": "toys", "films": 2, "detector": "haar", "variant": "f5warp", "sizes": "",
        "machine": {"cpu": "none", "cores": 2, "load": 0.0}, "gpus": 0, "rounds": 1,
        "workers": [1, 2], "faces": dict.fromkeys(taken, 100), "difference": 1, "same": 1,
        "start_seconds": {"ray": 1.0, "workers": 2.0, "few_faces": 3.0},
        "rows": rows_of(taken), "restored_per_second": 12.0,
        "shares": {"in process": {"decode": 0.5, "restore": 0.5}},
    } | changed  # fmt: skip


def test_requirements_are_judged() -> None:
    assert "NOT" not in bench.table(figures())
    slow = {
        "plain": [Taken(9.8, 18, 100)], "in process": [Taken(10, 10, 100)],
        "stage 1": [Taken(11, 11.1, 100)], "stage 2": [Taken(5.5, 11, 100)],
    }  # fmt: skip
    text = bench.table(figures(rows=rows_of(slow)))
    missed = [line for line in text.splitlines() if line.endswith("NOT REACHED")]
    assert [line.split(":")[0] for line in missed] == [
        "stage 2 to the plain loop",
        "processor time of stage 1 over that of its steps without Ray",
    ]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"faces": {"plain": 100, "stage 2": 99}}, "different numbers of faces"),
        ({"faces": {"plain": 0, "stage 2": 0}}, "no face was found"),
        ({"difference": 2}, "differs by 2 levels"),
        ({"difference": None}, "cut different tracks"),
    ],
)
def test_ways_that_differ_are_a_failure(changed: dict[str, object], told: str) -> None:
    found = bench.problem(figures(**changed))
    assert told in found and bool(found) == bool(told)


def test_the_plain_loop_restores_what_the_stage_does() -> None:
    torch.manual_seed(0)
    network = build("f5", scale=4, size=32, width=0.1, start="kaiming", frame_step=2).eval()
    assert isinstance(network, Network)
    low = np.random.default_rng(0).integers(0, 256, (19, 8, 8, 3), np.uint8)
    made = np.concatenate(list(plain_loop._restored(network, low)))
    pixels = torch.from_numpy(low).movedim(-1, 1).float() / 255
    expected = to_bytes(restore(network, pixels))
    assert made.shape == (19, 32, 32, 3)
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_a_face_that_differs_is_seen() -> None:
    some = [np.zeros((2, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 3, np.uint8)]
    assert bench._difference(some, [some[0], np.full((1, 4, 4, 3), 9, np.uint8)]) == 6
    assert bench._difference(some, some[:1]) is None


def test_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.integration
def test_a_process_apart_has_its_own_cores_and_variables() -> None:
    with apart(1, {"OF_THE_TEST": "there"}) as call:
        assert len(call(os.sched_getaffinity, 0)) == 1
        assert call(os.getenv, "OF_THE_TEST") == "there"
    assert os.getenv("OF_THE_TEST") is None


@pytest.mark.integration
def test_what_an_ended_process_took_is_told_though_its_parent_never_knew() -> None:
    """As Ray's daemon, the parent lets its children end unseen."""
    child = "import time\nwhile time.process_time() < 1: pass"
    parent = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "child.wait(); print('ended', flush=True); sys.stdin.read()"
    )
    with watching() as watch:
        before = watch.busy_seconds()
        command = [sys.executable, "-c", parent]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
            assert started.stdout is not None and started.stdout.readline() == b"ended\n"
            taken = watch.busy_seconds() - before
            started.communicate()
    # Less what it took since the last look, and more for the parent and for this test.
    assert 1 - 2 * PERIOD < taken < 3


# The driver runs in this process, and warns of Ray's own affairs.
@pytest.mark.filterwarnings("default")
@pytest.mark.integration
def test_the_whole_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    weights, target = tmp_path / "weights.safetensors", tmp_path / "figures.json"
    save_weights(build("f1", scale=4, size=32, width=0.1), weights)
    words = ["--films", "2", "--rounds", "1", "--workers", "1", "--weights", str(weights)]
    begun = time.perf_counter()
    assert command.main(["enhance", *words, "--json", str(target)]) == 0
    found = json.loads(target.read_text(encoding="utf-8"))
    assert [row["way"] for row in found["rows"]] == ["plain", "in process", "stage 1"]
    assert set(found["faces"].values()) == {100}
    assert found["difference"] <= 1
    assert 0 < found["start_seconds"]["few_faces"] < time.perf_counter() - begun
    shares = found["shares"]["in process, of processor time"]
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0
    assert "| stage 1 |" in capsys.readouterr().out
