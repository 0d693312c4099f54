"""SIGKILL of the stage enhance, of all its processes and of one at a time, and Ctrl-C: what was
done stays, and the results are those of a run that nothing disturbs, byte for byte."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import (
    at_work,
    planted,
    run,
    run_and_kill,
    run_and_signal,
    stamps,
)
from tests.support.enhancement.collections import arguments, collection, results, weights
from tests.support.root import ROOT
from tests.support.waiting import PATIENCE

# The first two are of three spans each (locate.SPAN), the others of one.
FILMS = {"long/film.mp4": 1100, "other/film.mp4": 1100, "a/film.mp4": 150, "b/film.mp4": 150}
# At work, as Ray titles them.
WORKERS = {
    "reader": r"ray::MapBatches\(Reader\)",
    "restorer": r"ray::MapWorker\(MapBatches\(Restorer\)\)\.submit",
    "writer": r"ray::MapBatches\(Writer\)",
    "joiner": "ray::joined",
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The films, and weights."""
    folder = tmp_path_factory.mktemp("given")
    return collection(folder / "films", FILMS), weights(folder / "weights.safetensors", "f1")


def told(given: tuple[Path, Path], folder: Path) -> tuple[str, ...]:
    kinds = '["faces", "frames", "png"]'
    return ("enhance.py", *arguments(given[0], folder, given[1], "--enhance.outputs", kinds))


@pytest.fixture(scope="module")
def undisturbed(
    given: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(*told(given, folder)).status == 0
    return results(folder)


def kept(folder: Path) -> list[Path]:
    """The spans that are kept of films that are not whole."""
    return list(folder.glob("enhanced/**/.spans-*/*.npz"))


def losing(
    kinds: set[str], chance: random.Random, then: Callable[["subprocess.Popen[str]"], object]
) -> Callable[["subprocess.Popen[str]"], None]:
    """Kills a worker of each kind, whichever is seen at work first, and does what comes `then`;
    what was not seen when the driver ends stays in `kinds`."""

    def end(process: "subprocess.Popen[str]") -> None:
        while kinds and process.poll() is None:
            # A span is read in 0.2 s and written in a second: who looks seldom may see neither.
            time.sleep(chance.uniform(0, 0.02))
            found = [(kind, worker) for title, worker in at_work(process.pid)
                     for kind in sorted(kinds) if re.match(WORKERS[kind], title)]  # fmt: skip
            if found:
                kind, worker = chance.choice(found)
                with suppress(psutil.Error):
                    worker.kill()
                    kinds.remove(kind)
        then(process)

    return end


def test_results_of_a_run_that_is_killed_again_and_again(
    given: tuple[Path, Path], undisturbed: dict[str, object], tmp_path: Path
) -> None:
    """All is killed when the first span is kept. Then one of each kind of worker dies, and the
    driver alone; in the end who joins the spans."""
    command, chance = told(given, tmp_path), random.Random(0)
    run_and_kill(lambda: kept(tmp_path), *command)
    first = stamps(kept(tmp_path))
    assert 1 <= len(first) < 3, "killed too late to show anything"
    left = planted(tmp_path / "enhanced")

    workers = {"reader", "restorer", "writer"}
    ended = run_and_signal(
        lambda: True, losing(workers, chance, lambda driver: driver.kill()), *command
    )
    assert (ended.status, workers) == (-9, set())
    assert stamps(first) == first, "restored again"

    workers = {"joiner"}
    ended = run_and_signal(lambda: True, losing(workers, chance, lambda driver: None), *command)
    assert (ended.status, workers) == (0, set())
    assert "[enhance] was cut off, goes on" in ended.output
    assert not left.exists() and not list(tmp_path.glob("enhanced/**/.*"))
    assert results(tmp_path) == undisturbed


def test_ctrl_c_ends_it_in_one_line(
    given: tuple[Path, Path], undisturbed: dict[str, object], tmp_path: Path
) -> None:
    """As a terminal sends it, to all processes of the command. The same command goes on."""
    command = told(given, tmp_path)
    ended = run_and_signal(
        lambda: kept(tmp_path), lambda driver: os.killpg(driver.pid, signal.SIGINT), *command
    )
    assert ended.status == 130
    assert ended.output.endswith("error: stage enhance: stopped; the same command goes on\n")
    assert "Traceback" not in ended.output and "ray" not in ended.output
    assert not list(tmp_path.glob("lease.json"))
    assert run(*command).status == 0
    assert results(tmp_path) == undisturbed


BETWEEN = """
import signal, sys
from workflows.enhancement.progress import Progress
from workflows.shared.command import main

signal.signal(signal.SIGINT, signal.default_int_handler)
Progress.close = lambda *_: signal.raise_signal(signal.SIGINT)
sys.exit(main(["enhance"], ""))
"""


def test_ctrl_c_while_ray_data_has_a_receipt_to_give(
    given: tuple[Path, Path], tmp_path: Path
) -> None:
    """The driver is not waiting for Ray Data then, which has threads of its own at work."""
    _, *arguments = told(given, tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", BETWEEN, *arguments], cwd=ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
    )  # fmt: skip
    assert ended.returncode == 130, ended.stdout
    *said, last = ended.stdout.splitlines()
    assert last == "error: stage enhance: stopped; the same command goes on"
    assert [line for line in said if not line.startswith("[enhance] ")] == []
