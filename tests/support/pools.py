"""Work for the pools of the stages that read sources, in a module that Ray's workers can import."""

import ctypes
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets.clips.windows import Account
from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.attempts import AttemptsError, attempt
from infra.extraction import Detection, Limits
from infra.nodes.counts import JobCounts
from infra.settings.settings import Settings
from workflows.enhancement import restore
from workflows.enhancement.receipts import Restored
from workflows.preprocessing.outcomes import outcome_of, to_json
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


class Enhancer:
    """In the place of the one of enhance: its outcomes say whether there was other work."""

    def __init__(self, _: Settings, __: Any, ___: Detection, folder: str, ____: str) -> None:
        self.folder = folder

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for row in block.to_pylist():
            (source,) = sources_of(row)
            met = str(meet(self.folder, source.name))
            outcome = json.dumps(asdict(Restored(source.name, "", [], {}, {}, "", met)))
            yield pa.Table.from_pylist([{"outcome": outcome}])


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


class Hanging(restore.Enhancer):
    """Hangs in C, with the interpreter's lock, where it opens a film named so; and needs more than
    the time limit to write the others."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        restore.open_source = _open_or_hang

    def _write(self, *arguments: Any) -> dict[str, Any]:
        time.sleep(2 * self.settings.preprocess.time_limit + 1)
        return super()._write(*arguments)


@contextmanager
def _open_or_hang(source: Source, limits: Limits) -> Iterator[Footage]:
    if "hangs" in source.name:
        ctypes.PyDLL(None).sleep(60)
    with open_source(source, limits) as footage:
        yield footage
