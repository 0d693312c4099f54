"""Runs the commands of the README in processes of their own, as a user does."""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from datasets.shards.files import read_rows
from infra import storage
from tests.support.root import ROOT
from tests.support.servers.s3_server import leading_to, reaching, server
from tests.support.waiting import PATIENCE, until
from workflows.shared.command import main
from workflows.stages import STAGES

TINY = ROOT / "tests/integration/tiny.yaml"
TINY_RUN = "s3://archive/tiny run"
# Clips of one drawn video of tiny.yaml: centres 12, 16, 20 of 33 frames.
CLIPS_A_VIDEO, VIDEOS = 3, 24


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are integration tests. With `--dist loadgroup` what shares a run or a server
    stays in one process: the tests of the tiny run, and those of each other file."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
        shared = "tiny" if "tiny" in getattr(item, "fixturenames", ()) else item.path.name
        item.add_marker(pytest.mark.xdist_group(shared))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    output: str


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "workflows" / script), *map(str, arguments)]


def run(script: str, *arguments: object, cwd: Path = ROOT, **variables: str) -> Ended:
    """Run a workflow script to its end; its output is shown where the test fails."""
    done = subprocess.run(
        command(script, *arguments), cwd=cwd, env={**os.environ, **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
    )  # fmt: skip
    print(done.stdout)
    return Ended(done.returncode, done.stdout)


def run_here(*arguments: object, stages: Iterable[str] = STAGES) -> Ended:
    """What full.py does, or the script of a stage, in this process, for what starts nothing:
    importing everything anew takes a process ten seconds."""
    shown = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(shown),
        redirect_stderr(shown),
    ):
        patch.setattr(sys, "argv", ["full.py", *map(str, arguments)])
        status = main(list(stages), "")
    return Ended(status, shown.getvalue())


def run_and_signal(
    when: Callable[[], object], end: "Callable[[subprocess.Popen[str]], None]",
    script: str, *arguments: object,
) -> Ended:  # fmt: skip
    """Start a workflow script, `end` it as soon as `when()`; how it ended then."""
    # A shell's background job ignores Ctrl-C, and would hand that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command(script, *arguments), cwd=ROOT, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    # Read all the while: a script that nobody listens to stops at a full pipe.
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(process.communicate)
        try:
            until(lambda: when() or process.poll() is not None, "what was waited for")
            assert process.poll() is None, f"it ended too soon: {said.result()[0]}"
            end(process)
            output = said.result(PATIENCE)[0]
        finally:
            kill(process)
    print(output)
    return Ended(process.returncode, output)


def run_and_kill(when: Callable[[], object], script: str, *arguments: object) -> None:
    """Start a workflow script and SIGKILL it, with all its processes, as soon as `when()`."""
    run_and_signal(when, kill, script, *arguments)


def run_and_kill_worker(
    when: Callable[[], object], title: str, script: str, *arguments: object
) -> Ended:
    """Start a workflow script and, after `when()`, SIGKILL the first of its workers whose title,
    which Ray gives by what a worker is at, matches `title`; how the script ended."""

    def end(process: "subprocess.Popen[str]") -> None:
        until(lambda: process.poll() is not None or killed_worker(process.pid, title), title)
        assert process.poll() is None, f"no {title} was seen at work"

    return run_and_signal(when, end, script, *arguments)


def killed_worker(driver: int, title: str) -> bool:
    """SIGKILL a worker below the process `driver`; False where none has this title just now."""
    for found, worker in at_work(driver):
        if re.match(title, found):
            with suppress(psutil.Error):
                worker.kill()
                return True
    return False


def at_work(driver: int) -> Iterator[tuple[str, psutil.Process]]:
    """The processes below the process `driver`, each with its title, which Ray gives by what a
    worker is at."""
    with suppress(psutil.Error):  # a process that is listed may be gone by now
        for child in psutil.Process(driver).children(recursive=True):
            with suppress(psutil.Error):
                yield (child.cmdline() or [""])[0], child


def stamps(paths: Iterable[Path]) -> dict[Path, int]:
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in paths}


def planted(stage: Path) -> Path:
    """A file such as a writer leaves behind below the folder of a stage when it is killed."""
    left = stage / "half done/.0123456789abcdef0123456789abcdef.tmp"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half a file")
    return left


def kill(process: "subprocess.Popen[str]") -> None:
    """SIGKILL a script and all that it started, and see it gone.

    Ray gives each worker a process group of its own: those of a killed raylet end by themselves,
    yet on a busy machine not before the same command has begun anew.
    """
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # first of all, that nothing is started any more
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
    until(lambda: all(map(gone, below)), "the end of what was killed")


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended, waited for or not by whoever took it over."""
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def content_of(folder: Path | str) -> dict[str, str]:
    """Clip id → hash of its split and of all its columns; fails where an id comes twice, and for
    any file beside the shards."""
    found: dict[str, str] = {}
    for split in ("train", "validation", "test"):
        for uri in storage.files(f"{folder}/clips/{split}"):
            for row in read_rows(uri).to_pylist():
                assert row["clip_id"] not in found
                content = repr((split, sorted(row.items()))).encode("utf-8", "surrogateescape")
                found[row["clip_id"]] = hashlib.sha256(content).hexdigest()
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 72 MB, room for four checkpoints."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=72m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this account may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder that a server shows as `s3://archive`, and the variables that lead there."""
    folder = tmp_path_factory.mktemp("server")
    with server("rclone", folder) as port:
        yield folder / "archive", leading_to(port)


@pytest.fixture(scope="session")
def tiny(bucket: tuple[Path, dict[str, str]]) -> tuple[Path, Ended]:
    """A run in object storage with all seven stages of tiny.yaml: as it lies on the server's disk,
    and how full.py ended."""
    folder, variables = bucket
    return folder / "tiny run", run("full.py", "--config", TINY, "--run", TINY_RUN, **variables)


@pytest.fixture
def reached(bucket: tuple[Path, dict[str, str]]) -> Iterator[None]:
    """This process reaches the bucket, too."""
    with reaching(bucket[1]):
        yield
