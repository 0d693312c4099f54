"""A file is the old one or the new one, and the writer needs the standard library alone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.whole_file import TEMPORARY, whole_file
from tests.support.root import ROOT


def test_a_block_that_raises_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    with whole_file(path) as scratch:
        scratch.write_text("old")
    with pytest.raises(ValueError, match="half"), whole_file(path) as scratch:
        scratch.write_text("half of the n")
        assert TEMPORARY.fullmatch(scratch.name)
        raise ValueError("half")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_changes_nothing(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    program = (
        "import os, sys, pathlib\nfrom infra.whole_file import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as scratch:\n"
        "    scratch.write_text('new'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert (tmp_path / "a").read_text() == "old"


def test_the_guard_is_not_around_the_block(tmp_path: Path) -> None:
    @contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RuntimeError("the disk") from error

    with pytest.raises(OSError, match="what is read"), whole_file(tmp_path / "a", guard):
        raise OSError("what is read")
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match="the disk"), whole_file(tmp_path / "file/a", guard):
        pass


def test_gpu_begins_with_the_standard_library_alone() -> None:
    """`-S` leaves out all packages."""
    done = subprocess.run(
        [sys.executable, "-S", "workflows/gpu.py", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_leftovers_are_known_by_their_names() -> None:
    assert TEMPORARY.fullmatch(f".{'0' * 32}.tmp")
    assert TEMPORARY.fullmatch(f".tmp-{'a' * 32}-mark-0.json")  # of versions before
    assert not TEMPORARY.fullmatch("a.tmp")
