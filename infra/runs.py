"""The run folder: which stages are complete, with what settings, from what inputs.

A stage writes its files and last its completion record `<stage folder>/stage.json`. A stage whose
record matches the settings is skipped; one begun with other settings is refused by field name.
`started.json` holds the settings and inputs of a stage that has not ended, so that a resumed
training never goes on from another experiment's checkpoint. `forced.json` of the run names what
`--force` has emptied already, until its command has ended: given again after a kill, it goes on.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from infra import storage
from infra.errors import FacestackError, RunError, SettingsError
from infra.leases import lease
from infra.progress import say
from infra.provenance import versions
from infra.settings import of_run
from infra.settings.settings import Settings
from infra.text import one_line

FORCED = "forced.json"
STARTED = TypeAdapter(dict[str, dict[str, Any]])


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
    """A run folder at a URI, with the stages that are to be redone, the settings that it is to
    remember as the base of later commands (settings/of_run.py) where a stage begins, and whether
    one stage is `alone`, so that what it cannot do is an error and no mere line."""

    def __init__(
        self,
        uri: str,
        force: frozenset[str] = frozenset(),
        settings: Settings | None = None,
        alone: bool = True,
    ) -> None:
        self.uri = storage.absolute(uri)
        self.force = force
        self.settings = settings
        self.alone = alone

    def path(self, *parts: str) -> str:
        """The URI of a file or folder of the run."""
        return storage.join(self.uri, *parts)

    def record(self, folder: str) -> StageRecord:
        """The completion record of a stage folder; raises RunError where there is none."""
        uri = self.path(folder, "stage.json")
        try:
            return StageRecord.model_validate_json(storage.read_bytes(uri))
        except ValidationError as error:
            raise RunError(
                f"{uri}: not a completion record ({one_line(error, 80)}); redo it with --force"
            ) from error
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
        self,
        name: str,
        folder: str,
        settings: dict[str, Any],
        inputs: list[str],
        changed: Callable[[str], str] | None = None,
    ) -> Iterator["Stage | None"]:
        """Open a stage: yields None where it is complete already, else a Stage to fill.

        `settings` is all that the stage's result depends on, `inputs` the stage folders that it
        reads. `changed(fingerprint)` says what else it reads has changed since it was complete, ""
        for nothing: else it is opened again, as it is. The record is written when the block ends
        without an error. Raises RunError where the folder holds the stage's work with other
        settings, naming each field, or from inputs that were redone since.
        """
        reads = {folder_: self.record(folder_).digest for folder_ in inputs}
        settings = json.loads(json.dumps(settings))
        if name in self.force:
            self._empty(name, folder, settings, reads)
        begun_with = self._begun_with(name, folder, settings, reads)
        fingerprint = digest_of(settings=begun_with or settings, inputs=reads)
        complete_before = self.is_complete(folder)
        if complete_before:
            record = self.record(folder)
            if not (why := changed(fingerprint) if changed else ""):
                say(name, f"complete since {record.finished}, skipped ({_brief(record.counts)})")
                yield None
                return
            say(name, why)
        started, complete = self.path(folder, "started.json"), self.path(folder, "stage.json")
        if begun_with is None:
            begun_with = settings
            storage.write_json(started, {"settings": settings, "inputs": reads})
        elif complete_before:
            storage.write_json(started, {"settings": begun_with, "inputs": reads})
            storage.remove(complete)
        else:
            say(name, "was cut off, goes on")
        if self.settings is not None:
            of_run.remember(self.uri, self.settings, name, self._source(name))
        stage = Stage(name, self.path(folder), fingerprint)
        begun = time.monotonic()
        try:
            yield stage
        except FacestackError as error:
            if error.status == SettingsError.status:
                self.ended([folder])  # it may need another beginning: --force gives one again
            raise
        lease.confirm(self.uri)
        record = _record(name, begun_with, reads, stage.counts, time.monotonic() - begun)
        storage.sweep(stage.uri)  # every writer of this stage has ended
        storage.write_json(complete, record.model_dump())
        storage.remove(started)
        say(name, f"done in {record.seconds:.0f} s ({_brief(record.counts)})")

    def _begun_with(
        self, name: str, folder: str, settings: dict[str, Any], reads: dict[str, str]
    ) -> dict[str, Any] | None:
        """The settings that the stage's work was begun with, None where there is no work; raises
        RunError where they are others than `settings`, or from other inputs than it `reads`."""
        if self.is_complete(folder):
            record = self.record(folder)
            found, inputs, when = record.settings, record.inputs, "after this stage"
        elif storage.exists(self.path(folder, "started.json")):
            uri, when = self.path(folder, "started.json"), "since this stage began"
            try:
                started = STARTED.validate_json(storage.read_bytes(uri))
                found, inputs = started["settings"], started["inputs"]
            except (ValidationError, KeyError) as error:
                raise RunError(
                    f"{uri}: not the record of a stage that began; redo it with --force {name}"
                ) from error
        else:
            return None
        if changed := sorted(of_run.differences(found, settings)):
            raise RunError(
                f"{name}: {self.uri} was made with other settings: {'; '.join(changed)}. "
                f"Give --force {name} to remove what it has made and redo it, or another --run"
            )
        if redone := [key for key in reads if inputs.get(key) != reads[key]]:
            raise RunError(
                f"{name}: {', '.join(redone)} was redone {when}; redo it with --force {name}"
            )
        return dict(found)

    def _source(self, name: str) -> str | None:
        """What the run's clips were made from, as their record has it; None where it is not told,
        or `name` makes them."""
        if name == "preprocess" or not self.is_complete("clips"):
            return None
        return self.record("clips").settings.get("source")

    def _empty(self, name: str, folder: str, settings: dict[str, Any], reads: Any) -> None:
        """Remove a stage's work, unless the same command has done so and was cut off."""
        forced = self._forced()
        if folder in forced:
            try:
                self._begun_with(name, folder, settings, reads)
            except RunError:  # forced again with other settings
                pass
            else:
                say(name, f"--force has emptied it, {forced[folder]}; the command goes on")
                return
        storage.remove(self.path(folder))
        storage.write_json(self.path(FORCED), forced | {folder: _now()})

    def _forced(self) -> dict[str, str]:
        uri = self.path(FORCED)
        return dict(storage.read_json(uri)) if storage.exists(uri) else {}

    def ended(self, folders: Iterable[str]) -> None:
        """Note that a command has ended: `--force` empties the stage folders anew from now on, and
        those below them."""
        if forced := self._forced():
            ended = set(folders)
            left = {n: when for n, when in forced.items() if not {n, n.split("/")[0]} & ended}
            if left:
                storage.write_json(self.path(FORCED), left)
            else:
                storage.remove(self.path(FORCED))

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
        lease.confirm(self.uri)
        record = _record(name, settings, inputs, counts, 0.0)
        storage.write_json(self.path(folder, "stage.json"), record.model_dump())


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
        finished=_now(),
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _brief(counts: dict[str, Any]) -> str:
    plain = {
        key: value
        for key, value in counts.items()
        if not isinstance(value, dict | list) and key != "exit_status"
    }
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items()) or "-"
