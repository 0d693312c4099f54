"""The exit status of every entry script, and the line with which it ends: faults 3, mistakes 2."""

import argparse
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra import storage
from infra.settings import command_line
from tests.support.root import ROOT
from tests.support.servers.s3_server import free_port, leading_to, reaching

# Commands of each entry script whose input is missing, or lies in a storage that is away; RUN and
# FOLDER stand for where.
STAGES = ("recogniser", "pretrain", "tune", "train", "evaluate", "enhance", "alignment", "study")
COMMANDS = {
    **{name: [["--run", "RUN"]] for name in STAGES},
    "full": [["--run", "RUN", "--source", "FOLDER"]],
    "preprocess": [["--run", "RUN", "--source", "FOLDER"], ["inspect", "RUN"]],
    "study": [["--run", "RUN", "--study.answers", "ANSWERS"]],
    "benchmark": [["loader", "--shards", "FOLDER"]],
    "export": [["--weights", "RUN", "--out", "FOLDER"]],
    "gpu": [["--device", "cpu", "--join", "FOLDER"], ["pack", "faces", "--run", "RUN"]],
}
CALLS = [(name, words) for name, calls in COMMANDS.items() for words in calls]
# These read nothing but local folders.
LOCAL = ("benchmark", "gpu")


@dataclass(frozen=True)
class Ended:
    """The status of a command, and what it said on stderr."""

    status: int
    lines: list[str]


Start = Callable[..., Ended]


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Start:
    """Runs a script in this process, as `python workflows/….py` would, at places below a URI."""

    def started(name: str, words: list[str], at: str | None = None) -> Ended:
        places = {"RUN": f"{at or tmp_path}/run", "FOLDER": f"{at or tmp_path}/folder",
                  "ANSWERS": str(tmp_path / "answers.sqlite")}  # fmt: skip
        script = str(ROOT / "workflows" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script, *(places.get(word, word) for word in words)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(script, run_name="__main__")
        return Ended(int(ended.value.code or 0), capsys.readouterr().err.strip().splitlines())

    return started


def test_every_entry_script_is_here() -> None:
    scripts = {path.stem for path in (ROOT / "workflows").glob("*.py")}
    assert scripts - {"__init__", "stages"} == COMMANDS.keys()


@pytest.mark.parametrize(("name", "words"), CALLS)
def test_an_option_that_is_unknown(start: Start, name: str, words: list[str]) -> None:
    ended = start(name, [*words, "--paint", "blue"])
    assert ended.status == 2
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error: ")
    assert "paint" in ended.lines[0]


@pytest.mark.parametrize(("name", "words"), CALLS)
def test_input_that_is_not_there(start: Start, name: str, words: list[str], tmp_path: Path) -> None:
    ended = start(name, words)
    assert ended.status == 2
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error: ")
    assert str(tmp_path) in ended.lines[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [(name, words) for name, words in CALLS if name not in LOCAL or words[0] == "pack"],
)
def test_a_storage_that_is_away(
    start: Start, name: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 1.0)  # FACESTACK_PATIENCE, as this process began
    with reaching({**leading_to(free_port()), "AWS_MAX_ATTEMPTS": "1"}):
        ended = start(name, words, "s3://archive")
    assert ended.status == 3
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error: ")
    assert "s3://archive" in ended.lines[0] or "storage" in ended.lines[0]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_python_without_the_packages(name: str) -> None:
    """As `python` is before `. .venv/bin/activate`."""
    words = ["pack"] if name == "gpu" else ["network"] if name == "benchmark" else []
    script = str(ROOT / "workflows" / f"{name}.py")
    done = subprocess.run(
        [sys.executable, "-S", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: no package '\w+' in .*\. \.venv/bin/activate.*\n", done.stderr)


@pytest.mark.parametrize(("name", "words"), CALLS)
def test_an_error_of_the_program(
    start: Start, name: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised where the words are read, which every command does."""

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("no\nsuch")

    monkeypatch.setattr(command_line, "load", fail)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", fail)
    ended = start(name, words)
    assert ended.status == 3
    assert ended.lines[0].startswith("Traceback")
    assert ended.lines[-1].startswith(f"error: {name}.py")
    assert ended.lines[-1].endswith(r"KeyError: 'no\nsuch'; traceback above")
