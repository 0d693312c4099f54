"""A lease on a run folder: who gets it, who is refused, who takes it over, who has lost it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import storage
from infra.errors import FaultError, RunError
from infra.leases import lease
from infra.leases.holder import Holder
from infra.leases.lease import BEAT, EXPIRY, confirm, held
from infra.leases.swap import content, swap
from infra.runs import Run
from tests.support.root import ROOT


def plant(run: Path, **changed: object) -> Holder:
    """A lease on the run, as this process would write it but for what is changed."""
    holder = replace(Holder.here("enhance.py"), **changed)
    write(run, holder)
    return holder


def write(run: Path, holder: Holder) -> None:
    """In one stroke, as another machine's appears."""
    storage.write_bytes(str(run / "lease.json"), holder.content())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes on only where somebody sleeps, who then finds `meanwhile` done."""
    found = SimpleNamespace(now=0.0, meanwhile=lambda: None)

    def sleep(seconds: float) -> None:
        found.now += seconds
        found.meanwhile()

    stand_in = SimpleNamespace(monotonic=lambda: found.now, sleep=sleep)
    monkeypatch.setattr(lease, "time", stand_in)
    return found


def test_the_second_is_refused_in_one_line_and_the_next_is_not(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    with held(run, "preprocess.py"):
        with pytest.raises(RunError) as refused, held(run, "enhance.py"):
            pass
        said = str(refused.value)
        since = json.loads((tmp_path / "run/lease.json").read_text())["since"]
        assert "\n" not in said
        for part in (run, "preprocess.py", f"process {os.getpid()}", socket.gethostname(), since):
            assert part in said
        (tmp_path / "run/clips").mkdir()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["clips"]
    with held(run, "enhance.py"):
        pass


def test_it_is_released_where_the_block_raises_and_no_empty_folder_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), held(str(tmp_path / "run"), "train.py"):
        raise KeyboardInterrupt
    assert not (tmp_path / "run").exists()


def test_a_killed_holder_is_taken_over_from_at_once(
    tmp_path: Path, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where its parent has not asked yet how it ended."""
    program = (
        "import time; from infra.leases.lease import held\n"
        f"with held({str(tmp_path)!r}, 'train.py'): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {process.pid} "), held(str(tmp_path), "b"):
            pass
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with held(str(tmp_path), "train.py"):
            assert clock.now == 0
    assert f"process {process.pid} on" in capsys.readouterr().out


def test_another_process_with_the_number_of_the_holder_is_not_the_holder(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    plant(tmp_path, started=Holder.here("").started - 1)
    with held(str(tmp_path), "train.py"):
        assert clock.now == 0


def test_what_cannot_be_told_of_a_process_is_not_taken_for_its_end(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc may hide the processes of other users."""
    plant(tmp_path)
    monkeypatch.setattr("infra.leases.holder._state", lambda _: None)
    with held(str(tmp_path), "train.py"):
        assert clock.now >= EXPIRY


def beating(run: Path, holder: Holder, times: int) -> Callable[[], None]:
    """Gives a sign of life at each of so many looks."""
    signs = [replace(holder, beat=beat + 1) for beat in range(times)]

    def meanwhile() -> None:
        if signs:
            write(run, signs.pop(0))

    return meanwhile


def test_a_holder_on_another_machine_that_gives_a_sign_of_life_is_left_alone(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    """By its heartbeat alone: the number of its process says nothing here, nor does its clock."""
    holder = plant(tmp_path, machine="another", host="far", process=2**30, since="1970-01-01")
    clock.meanwhile = beating(tmp_path, holder, 1)
    with pytest.raises(RunError, match=r"enhance\.py, process 1073741824 on far"):
        held(str(tmp_path), "train.py").__enter__()
    assert clock.now <= BEAT


def test_a_holder_on_another_machine_without_a_sign_of_life_is_taken_over(
    tmp_path: Path, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path, machine="another", host="far", since="2999-01-01")
    with held(str(tmp_path), "train.py"):
        assert EXPIRY <= clock.now <= EXPIRY + 2
    said = capsys.readouterr().out.splitlines()
    assert "on far, since 2999-01-01; waiting up to 60 s" in said[0]
    assert len(said) == 2


def test_of_two_that_wait_for_the_same_lease_one_gets_it(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    """The other one, which was as ready to take over, finds the first at work."""
    plant(tmp_path, machine="another")
    first = lease.Lease(str(tmp_path / "lease.json"), "first.py")

    def meanwhile() -> None:
        if clock.now == EXPIRY:
            clock.meanwhile = lambda: None
            first.take()

    clock.meanwhile = meanwhile
    with pytest.raises(RunError, match=r"first\.py"):
        held(str(tmp_path), "second.py").__enter__()
    first.confirm()


def test_a_lease_that_was_half_written_is_waited_for_and_replaced(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    for damage, waited in ((b"", 0.0), (b'{"host": "a', EXPIRY), (b"[" * 9999, EXPIRY)):
        clock.now = 0.0
        (tmp_path / "lease.json").write_bytes(damage)
        with held(str(tmp_path), "train.py"):
            assert clock.now == waited


@pytest.mark.parametrize("old", [None, b"old"])
def test_of_many_swaps_at_once_one_is_made(old: bytes | None, tmp_path: Path) -> None:
    for attempt in range(20):
        uri = str(tmp_path / str(attempt) / "lease.json")
        if old is not None:
            assert swap(uri, None, old)
        with ThreadPoolExecutor(8) as pool:
            new = [f"of {number}".encode() for number in range(8)]
            made = list(pool.map(lambda value, uri=uri: swap(uri, old, value), new))
        assert sum(made) == 1
        assert content(uri) == new[made.index(True)]


def test_a_driver_that_lost_its_lease_writes_no_record(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    with (
        pytest.raises(FaultError, match=r"taken over by enhance\.py, process .* since .*Z"),
        held(run.uri, "preprocess.py"),
        run.stage("preprocess", "clips", {}, []),
    ):
        plant(tmp_path)
    assert not (tmp_path / "clips/stage.json").exists()
    assert (tmp_path / "lease.json").exists(), "removed the lease of another"
    (tmp_path / "lease.json").unlink()
    with held(run.uri, "preprocess.py"), run.stage("preprocess", "clips", {}, []):
        pass
    assert (tmp_path / "clips/stage.json").exists()
    confirm(run.uri)  # a process without a lease


@pytest.mark.parametrize("removed", [False, True])
def test_the_heartbeat_stops_a_driver_that_lost_its_lease(
    removed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has none
    try:
        with (
            pytest.raises(FaultError, match="is gone" if removed else "taken over"),
            held(str(tmp_path), "train.py"),
        ):
            plant(tmp_path)
            if removed:
                (tmp_path / "lease.json").unlink()
            time.sleep(60)
            pytest.fail("it was not stopped")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_heartbeat_whose_answer_was_lost_is_no_loss(tmp_path: Path) -> None:
    """The storage has the sign of life, and the driver was told that it failed."""
    taken = lease.Lease(str(tmp_path / "lease.json"), "train.py")
    taken.take()
    (tmp_path / "lease.json").write_bytes(taken.mine.again().content())
    taken.confirm()
    taken.confirm()
    assert taken.mine.beat == 2


def test_a_link_in_place_of_the_lease_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lease.json").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(FaultError, match=r"lease\.json"):
        held(str(tmp_path / "run"), "train.py").__enter__()
    assert (tmp_path / "mine.txt").read_bytes() == b""
