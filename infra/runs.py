"""The run folder: which stages are complete, with what settings, from what inputs.

A stage writes its files and last its completion record `<stage folder>/stage.json`. A stage whose
record matches the settings is skipped; one begun with other settings is refused by field name.
`started.json` holds the settings and inputs of a stage that has not ended, so that a resumed
training never goes on from another experiment's checkpoint.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from infra import storage
from infra.errors import RunError
from infra.progress import say
from infra.provenance import versions


class StageRecord(BaseModel):
    """What is written when a stage is complete."""

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    counts: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    finished: str

    @property
    def digest(self) -> str:
        """Hash of what the stage was made from; its successors record it as their input."""
        return digest_of(settings=self.settings, inputs=self.inputs, finished=self.finished)


class Run:
    """A run folder at a URI, with the stages that are to be redone."""

    def __init__(self, uri: str, force: frozenset[str] = frozenset()) -> None:
        self.uri = storage.absolute(uri)
        self.force = force

    def path(self, *parts: str) -> str:
        """The URI of a file or folder of the run."""
        return storage.join(self.uri, *parts)

    def record(self, folder: str) -> StageRecord:
        """The completion record of a stage folder; raises RunError where there is none."""
        try:
            return StageRecord.model_validate(storage.read_json(self.path(folder, "stage.json")))
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path(folder)}: this stage has not been completed; run it first, "
                "or run workflows/full.py, which runs all in order"
            ) from error

    def is_complete(self, folder: str) -> bool:
        """Whether the stage folder has its completion record."""
        return storage.exists(self.path(folder, "stage.json"))

    @contextmanager
    def stage(
        self, name: str, folder: str, settings: dict[str, Any], inputs: list[str]
    ) -> Iterator["Stage | None"]:
        """Open a stage: yields None where it is complete already, else a Stage to fill.

        `settings` is all that the stage's result depends on, `inputs` the stage folders that it
        reads. The record is written when the block ends without an error. Raises RunError where
        the folder holds the stage's work with other settings, naming each field, or from inputs
        that were redone since.
        """
        reads = {folder_: self.record(folder_).digest for folder_ in inputs}
        settings = json.loads(json.dumps(settings))
        forced = name in self.force
        if forced:
            storage.remove(self.path(folder))
        if self.is_complete(folder):
            record = self.record(folder)
            self._check(name, settings, record.settings)
            if record.inputs == reads:
                say(name, f"complete since {record.finished}, skipped ({_brief(record.counts)})")
                yield None
                return
            _refuse_redone(name, "after this stage", record.inputs, reads)
        started = self.path(folder, "started.json")
        if storage.exists(started):
            begun_with = storage.read_json(started)
            self._check(name, settings, begun_with["settings"])
            _refuse_redone(name, "since this stage began", begun_with["inputs"], reads)
            say(name, "was cut off, goes on")
        storage.write_json(started, {"settings": settings, "inputs": reads})
        stage = Stage(name, self.path(folder), digest_of(settings=settings, inputs=reads))
        begun = time.monotonic()
        yield stage
        record = _record(name, settings, reads, stage.counts, time.monotonic() - begun)
        storage.write_json(self.path(folder, "stage.json"), record.model_dump())
        storage.remove(started)
        say(name, f"done in {record.seconds:.0f} s ({_brief(record.counts)})")

    def summarise(
        self,
        name: str,
        folder: str,
        settings: dict[str, Any],
        parts: list[str],
        counts: dict[str, Any],
    ) -> None:
        """Write the record of a stage that is made of parts with records of their own."""
        inputs = {part: self.record(part).digest for part in parts}
        if self.is_complete(folder) and self.record(folder).inputs == inputs:
            return
        record = _record(name, settings, inputs, counts, 0.0)
        storage.write_json(self.path(folder, "stage.json"), record.model_dump())

    def _check(self, name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
        changed = sorted(_differences(found, wanted))
        if changed:
            raise RunError(
                f"{name}: {self.uri} was made with other settings: {'; '.join(changed)}. "
                f"Give --force {name} to redo it, or another --run"
            )


class Stage:
    """A stage at work: its folder, the fingerprint of its settings and inputs, and the counts that
    go into its record."""

    def __init__(self, name: str, uri: str, fingerprint: str) -> None:
        self.name = name
        self.uri = uri
        self.fingerprint = fingerprint
        self.counts: dict[str, Any] = {}

    def path(self, *parts: str) -> str:
        """The URI of a file below the stage's folder."""
        return storage.join(self.uri, *parts)


def digest_of(**made_from: Any) -> str:
    """A short hash of what can be written as JSON."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _refuse_redone(name: str, when: str, found: dict[str, str], now: dict[str, str]) -> None:
    changed = [key for key in now if found.get(key) != now[key]]
    if changed:
        raise RunError(
            f"{name}: {', '.join(changed)} was redone {when}; redo it with --force {name}"
        )


def _record(
    name: str, settings: Any, inputs: dict[str, str], counts: dict[str, Any], seconds: float
) -> StageRecord:
    return StageRecord(
        stage=name,
        settings=json.loads(json.dumps(settings)),
        inputs=inputs,
        counts=counts,
        versions=versions(),
        seconds=round(seconds, 1),
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """`field: old value → new value` for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} was {json.dumps(old)}, now {json.dumps(new)}"


def _brief(counts: dict[str, Any]) -> str:
    plain = {
        key: value
        for key, value in counts.items()
        if not isinstance(value, dict | list) and key != "exit_status"
    }
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items()) or "-"
