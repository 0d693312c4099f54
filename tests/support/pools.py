"""Work for the pools of the stages that read sources, in a module that Ray's workers can import."""

import ctypes
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datasets.clips.windows import Account
from datasets.sources.footage import Footage, Frame
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.attempts import AttemptsError, attempt
from infra.extraction import Limits
from infra.nodes.counts import JobCounts
from workflows.enhancement.spans import Span, Verdict
from workflows.enhancement.steps import locate, reading
from workflows.enhancement.steps.pieces import Piece, row_of
from workflows.enhancement.steps.reading import Reader
from workflows.enhancement.steps.restore import Restorer
from workflows.preprocessing.outcomes import outcome_of, to_json
from workflows.shared.ray_rows import Row
from workflows.shared.source_rows import sources_of

PATIENCE = 90  # seconds until work that is alone gives up waiting for other work


def meet(folder: str, name: str) -> bool:
    """Whether other work was under way at the same time; waits for it while there is hope."""
    (Path(folder) / f"{name}.here").touch()
    deadline = time.monotonic() + PATIENCE
    while len(list(Path(folder).glob("*.here"))) < 2:
        if (Path(folder) / "alone").exists() or time.monotonic() > deadline:
            (Path(folder) / "alone").touch()
            (Path(folder) / f"{name}.here").unlink()
            return False
        time.sleep(0.05)
    return True


def make_part(_: Any, folder: str, __: str, row: dict[str, Any]) -> dict[str, Any]:
    """In the place of the one of preprocess: its outcomes say whether there was other work."""
    (source,) = sources_of(row)
    account = Account()
    account.fail(str(meet(folder, source.name)), "")
    return {"outcomes": json.dumps(to_json([outcome_of(source, "", account, "")]))}


def found(block: pa.Table) -> Iterator[pa.Table]:
    """In the place of enhance's reader: each source has one span."""
    for row in block.to_pylist():
        (source,) = sources_of(row)
        yield pa.Table.from_pylist([row_of(Piece(source, None, Span(0, 0, 1)))])


class Meeting(Restorer):
    """In the place of the one of enhance, with a folder for its networks: the reason of each source
    says whether there was other work."""

    def _rows(self, piece: Piece) -> list[Row]:
        met = str(meet(str(self.models), piece.source.name))
        return [row_of(Piece(piece.source, None, None, Verdict(reason=met)))]


def die_if_told(counts: JobCounts, folder: str, row: dict[str, Any]) -> dict[str, Any]:
    """Notes the process that is at work on it, and kills this where the name says so."""
    name = row["name"]
    try:
        with attempt(counts.of(name)):
            with (Path(folder) / name).open("a") as file:
                file.write(f"{os.getpid()}\n")
            if name == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
    except AttemptsError as error:
        return {"name": name, "reason": str(error)}
    return {"name": name, "reason": ""}


class Hanging(Reader):
    """Hangs in C, with the interpreter's lock, where it opens a film named so."""

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "open_source", _open_or_hang)
            yield from super().__call__(block)


class Slow(Restorer):
    """Needs seven seconds for each span."""

    def _rows(self, piece: Piece) -> list[Row]:
        time.sleep(7)
        return super()._rows(piece)


@contextmanager
def _open_or_hang(source: Source, limits: Limits) -> Iterator[Footage]:
    if "hangs" in source.name:
        ctypes.PyDLL(None).sleep(60)
    with open_source(source, limits) as footage:
        yield footage


class Dying(Reader):
    """Its spans have forty faces, and it kills its process at frame 100 of a film named so."""

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "open_source", _open_and_die)
            patch.setattr(locate, "SPAN", 40)
            yield from super().__call__(block)


@contextmanager
def _open_and_die(source: Source, limits: Limits) -> Iterator[Footage]:
    with open_source(source, limits) as footage:
        yield replace(footage, frames=partial(_dying, footage, "dies" in source.name))


def _dying(footage: Footage, dies: bool) -> Iterator[Frame]:
    for number, frame in enumerate(footage.frames()):
        if dies and number == 100:
            os.kill(os.getpid(), signal.SIGKILL)
        yield frame
