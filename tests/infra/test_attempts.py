"""Work that hangs or crashes: causes both, in processes of their own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import attempts, storage
from infra.attempts import (
    ATTEMPTS,
    SUFFIX,
    AttemptsError,
    FileCounter,
    attempt,
    forget,
    off_the_clock,
    stop_clock,
)
from tests.support.root import ROOT
from tests.support.waiting import PATIENCE

# PyDLL keeps the interpreter's lock: no Python thread could end this sleep.
HANG = f"import ctypes; ctypes.PyDLL(None).sleep({PATIENCE})"
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def work(record: str, deed: str, seconds: float = 0.3) -> subprocess.CompletedProcess[str]:
    code = (
        "from infra.attempts import FileCounter, attempt, off_the_clock, stop_clock\n"
        "import time\n"
        f"with attempt(FileCounter({record!r}), {seconds}):\n    {deed}"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=PATIENCE
    )


@pytest.mark.parametrize(("deed", "status"), [(HANG, 1), (CRASH, -9)])
def test_what_kills_its_process_is_given_up(tmp_path: Path, deed: str, status: int) -> None:
    record = str(tmp_path / f"a{SUFFIX}")
    storage.write_json(record, ATTEMPTS - 1)
    ended = work(record, deed)
    assert ended.returncode == status
    assert status == -9 or "Timeout" in ended.stderr  # and where it hung
    with (
        pytest.raises(AttemptsError, match=r"died 3 times: .* of more than 5 s"),
        attempt(FileCounter(record), 5),
    ):
        pytest.fail("a fourth attempt was made")


def test_every_death_is_counted_and_a_good_end_clears_the_count(tmp_path: Path) -> None:
    record = str(tmp_path / f"a{SUFFIX}")
    work(record, CRASH)
    assert storage.read_json(record) == 1
    with attempt(FileCounter(record)):
        assert storage.read_json(record) == 2
    assert not storage.exists(record)


def test_a_new_driver_counts_anew(tmp_path: Path) -> None:
    record = str(tmp_path / "parts" / f"a{SUFFIX}")
    storage.write_json(record, ATTEMPTS)
    storage.write_json(str(tmp_path / "parts" / "a.json"), {})
    forget(str(tmp_path / "parts"))
    assert [file.name for file in (tmp_path / "parts").iterdir()] == ["a.json"]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock of this process was set to; empty where none runs. A clock that runs out in a
    test would do so on a slow machine alone."""
    clock: list[float] = []
    calls = SimpleNamespace(
        dump_traceback_later=lambda seconds, **_: clock.append(seconds),
        cancel_dump_traceback_later=clock.clear,
    )
    monkeypatch.setattr(attempts, "faulthandler", calls)
    return clock


def test_an_error_inside_ends_the_clock(tmp_path: Path, running: list[float]) -> None:
    with pytest.raises(ValueError, match="not good"), attempt(FileCounter(str(tmp_path / "a")), 5):
        assert running == [5]
        raise ValueError("not good")
    assert running == []
    assert list(tmp_path.iterdir()) == []


def test_what_follows_the_risky_part_has_no_clock(tmp_path: Path) -> None:
    ended = work(str(tmp_path / "a"), "stop_clock(); time.sleep(1)")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_wait_off_the_clock_takes_its_time_and_what_follows_is_timed_anew(tmp_path: Path) -> None:
    deed = f"with off_the_clock(): time.sleep(1); print('back', flush=True)\n    {HANG}"
    ended = work(str(tmp_path / f"a{SUFFIX}"), deed)
    assert (ended.returncode, ended.stdout) == (1, "back\n") and "Timeout" in ended.stderr
    assert storage.read_json(str(tmp_path / f"a{SUFFIX}")) == 1


def test_a_reader_is_off_the_clock_while_nobody_asks_it(
    tmp_path: Path, running: list[float]
) -> None:
    """It is asked twice, and then left alone for good."""
    at_work: list[list[float]] = []

    def reader() -> Iterator[int]:
        with attempt(FileCounter(str(tmp_path / "a")), 5):
            for number in range(9):
                at_work.append(list(running))
                with off_the_clock():
                    yield number

    numbers = reader()
    for _ in range(2):
        next(numbers)
        assert running == []
    numbers.close()
    assert at_work == [[5], [5]] and running == []
    assert list(tmp_path.iterdir()) == []


def test_where_no_clock_runs_none_is_started(tmp_path: Path, running: list[float]) -> None:
    with off_the_clock():
        pass
    assert running == []
    with attempt(FileCounter(str(tmp_path / "a"))), off_the_clock():
        pass
    assert running == []
    with attempt(FileCounter(str(tmp_path / "a")), 5):
        stop_clock()
        with off_the_clock():
            pass
        assert running == []
