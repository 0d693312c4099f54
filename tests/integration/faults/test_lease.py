"""Two drivers on one run folder, local and in object storage."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import s3fs

from infra import storage
from infra.errors import FacestackError, FaultError, RunError
from infra.leases import lease
from infra.leases.holder import Holder
from infra.leases.swap import content, swap
from tests.integration.conftest import CLIPS_A_VIDEO, TINY, VIDEOS, command, content_of, run
from tests.support.root import ROOT
from tests.support.servers.faulty_proxy import Faults, proxy
from tests.support.servers.s3_server import leading_to, reaching, server
from tests.support.waiting import PATIENCE, until

RUN = "s3://archive/a run"
LEASE = f"{RUN}/lease.json"


def test_of_two_preprocess_the_second_ends_in_one_line(tmp_path: Path) -> None:
    """And the first one comes to its end."""
    folder = tmp_path / "run"
    arguments = ("preprocess.py", "--config", TINY, "--run", folder)
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as first:
        wait_for_a_part(folder, first)
        first.send_signal(signal.SIGSTOP)  # it cannot end before the second one looks
        try:
            second = run(*arguments)
            assert second.status == 2
            since = json.loads((folder / "lease.json").read_text())["since"]
        finally:
            first.send_signal(signal.SIGCONT)
        output = first.communicate(timeout=PATIENCE)[0]
    (line,) = second.output.strip().splitlines()
    for part in (f"process {first.pid} on {socket.gethostname()}", since, str(folder)):
        assert part in line
    assert first.returncode == 0, output
    assert len(content_of(folder)) == VIDEOS * CLIPS_A_VIDEO
    assert not (folder / "lease.json").exists()


def test_a_driver_whose_lease_was_taken_over_stops(tmp_path: Path) -> None:
    """In one line, status 3, and does not call the stage complete: the other may be at it."""
    folder = tmp_path / "run"
    other = replace(Holder.here("other.py"), machine="another")
    arguments = ("preprocess.py", "--config", TINY, "--run", folder)
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as driver:
        wait_for_a_part(folder, driver)
        storage.write_bytes(str(folder / "lease.json"), other.content())
        output = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 3
    assert output.splitlines()[-1].startswith(f"error: {folder}/lease.json: this command's lease")
    assert "Traceback" not in output
    assert not (folder / "clips/stage.json").exists()
    assert (folder / "lease.json").read_bytes() == other.content()


def wait_for_a_part(folder: Path, driver: "subprocess.Popen[str]") -> None:
    """Wait until preprocess is at work."""
    parts = folder / "clips/parts"
    until(lambda: list(parts.glob("*.json")) or driver.poll() is not None, "a part")
    assert driver.poll() is None, "ended before another could come"


@pytest.fixture(scope="module", params=["moto", "rclone"])
def server_kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A bucket on a server that keeps conditions (moto), and on one that ignores them (rclone)."""
    with (
        server(request.param, tmp_path_factory.mktemp("server")) as port,
        reaching(leading_to(port)),
    ):
        if request.param == "moto":
            s3fs.S3FileSystem().mkdir("archive")
        yield request.param


@pytest.fixture
def empty(server_kind: str) -> str:
    """The same, with no lease there."""
    storage.remove(LEASE)
    return server_kind


@pytest.mark.usefixtures("empty")
def test_an_object_is_held_given_back_and_taken_again() -> None:
    for _ in range(2):
        with lease.held(RUN, "train.py"):
            with pytest.raises(RunError, match=f"process {os.getpid()} "):
                lease.held(RUN, "evaluate.py").__enter__()
            for _ in range(3):
                lease.confirm(RUN)
        assert not storage.exists(LEASE)


@pytest.mark.parametrize("kind", ["moto", "rclone"])
def test_a_server_that_stumbles_costs_no_driver_its_lease(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every four requests one is refused, dropped or answered in part, after it was done or
    before: the lease is taken, confirmed and given back all the same."""
    monkeypatch.setattr(lease, "SETTLE", 0.0)
    faults = Faults()
    with (
        server(kind, tmp_path) as port,
        proxy(port, faults) as entrance,
        reaching(leading_to(entrance)),
    ):
        if kind == "moto":
            s3fs.S3FileSystem().mkdir("archive")
        faults.choose = lambda method, path, number: (
            ("503", "drop", "cut")[number // 4 % 3] if number % 4 == 3 else ""
        )
        for _ in range(2):
            with lease.held(RUN, "train.py"):
                for _ in range(4):
                    lease.confirm(RUN)
        assert set(faults.seen) == {"503", "drop", "cut"}
        assert not storage.exists(LEASE)


@pytest.mark.parametrize("there", [None, "another"])
def test_of_many_that_take_it_at_once_one_holds_it(
    there: str | None, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a machine that is gone, all having seen that it gave no sign of life."""
    monkeypatch.setattr(lease, "EXPIRY", 0.0)
    if there:
        assert swap(LEASE, None, replace(Holder.here("gone.py"), machine=there).content())
    takers = [lease.Lease(LEASE, f"{number}.py") for number in range(6)]

    def take(taker: lease.Lease) -> bool:
        with suppress(RunError):
            taker.take()
            return True
        return False

    with ThreadPoolExecutor(len(takers)) as pool:
        took = [taker for taker, won in zip(takers, pool.map(take, takers), strict=True) if won]
    # Where conditions are ignored one whose write was late may have believed, until now, to be it.
    assert took and (empty == "rclone" or len(took) == 1)
    held = []
    for taker in took:
        with suppress(FaultError):
            taker.confirm()
            held.append(taker)
    assert [taker.mine.token for taker in held] == [Holder.read(content(LEASE) or b"").token]


def test_a_server_that_keeps_conditions_lets_one_swap_pass(empty: str) -> None:
    for old in (None, b"old"):
        storage.remove(LEASE)
        if old is not None:
            assert swap(LEASE, None, old)
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n, old=old: swap(LEASE, old, b"of %d" % n), range(8)))
        # The last to write where conditions are ignored, and then not every swap needs to know.
        assert content(LEASE) in [b"of %d" % n for n, won in enumerate(made) if won]
        assert empty == "rclone" or sum(made) == 1


@pytest.mark.usefixtures("empty")
def test_a_lease_that_another_took_meanwhile_stops_the_driver() -> None:
    with (
        pytest.raises(FaultError, match=r"taken over by other\.py"),
        lease.held(RUN, "train.py"),
    ):
        other = replace(Holder.here("other.py"), machine="another")
        storage.write_bytes(LEASE, other.content())
        lease.confirm(RUN)
    assert content(LEASE) == other.content(), "removed the lease of another"


@pytest.mark.usefixtures("empty")
def test_a_bucket_that_is_not_there_is_named_in_one_line() -> None:
    with pytest.raises(FacestackError, match=r"s3://absent/run/lease\.json"):
        lease.held("s3://absent/run", "train.py").__enter__()


@pytest.mark.usefixtures("empty")
def test_an_expired_lease_of_another_machine_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    storage.write_bytes(LEASE, replace(Holder.here("gone.py"), machine="another").content())
    with lease.held(RUN, "train.py"):
        assert clock.now >= lease.EXPIRY
    assert "gone.py" in capsys.readouterr().out
