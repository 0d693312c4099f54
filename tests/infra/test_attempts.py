"""Work that hangs or crashes: causes both, in processes of their own."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import attempts, storage
from infra.attempts import ATTEMPTS, SUFFIX, AttemptsError, attempt, forget
from tests.support.root import ROOT
from tests.support.waiting import PATIENCE

# PyDLL keeps the interpreter's lock: no Python thread could end this sleep.
HANG = f"import ctypes; ctypes.PyDLL(None).sleep({PATIENCE})"
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def work(record: str, deed: str, seconds: float = 0.3) -> subprocess.CompletedProcess[str]:
    code = (
        "from infra.attempts import attempt, stop_clock\n"
        f"with attempt({record!r}, {seconds}):\n    {deed}"
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
        attempt(record, 5),
    ):
        pytest.fail("a fourth attempt was made")


def test_every_death_is_counted_and_a_good_end_clears_the_count(tmp_path: Path) -> None:
    record = str(tmp_path / f"a{SUFFIX}")
    work(record, CRASH)
    assert storage.read_json(record) == 1
    with attempt(record):
        assert storage.read_json(record) == 2
    assert not storage.exists(record)


def test_a_new_driver_counts_anew(tmp_path: Path) -> None:
    record = str(tmp_path / "parts" / f"a{SUFFIX}")
    storage.write_json(record, ATTEMPTS)
    storage.write_json(str(tmp_path / "parts" / "a.json"), {})
    forget(str(tmp_path / "parts"))
    assert [file.name for file in (tmp_path / "parts").iterdir()] == ["a.json"]


def test_an_error_inside_ends_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the calls: a clock that runs out in this test would do so on a slow machine alone."""
    calls: list[object] = []
    clock = SimpleNamespace(
        dump_traceback_later=lambda seconds, **_: calls.append(seconds),
        cancel_dump_traceback_later=lambda: calls.append("ended"),
    )
    monkeypatch.setattr(attempts, "faulthandler", clock)
    with pytest.raises(ValueError, match="not good"), attempt(str(tmp_path / "a"), 5):
        raise ValueError("not good")
    assert calls == [5, "ended"]
    assert list(tmp_path.iterdir()) == []


def test_what_follows_the_risky_part_has_no_clock(tmp_path: Path) -> None:
    ended = work(str(tmp_path / "a"), "stop_clock(); import time; time.sleep(1)")
    assert (ended.returncode, ended.stderr) == (0, "")
