"""What is under a folder or prefix that a command is given, and what of it has been read before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic, TypeVar

from datasets.sources.discovery import Collection, SourceError, survey
from datasets.sources.layouts import Source
from infra import storage
from infra.errors import SettingsError
from infra.runs import Run, digest_of
from infra.text import as_utf8, one_line
from workflows.shared.result_files import Told


def find(root: str, layout: str = "auto", alone: bool = False) -> Collection:
    """The sources under a folder or prefix, or a single file that may be `alone`; raises
    SettingsError in one line.

    It is listed once a command: what a check has found is what the stages read.
    """
    try:
        return _found(storage.absolute(root), layout, alone)
    except (SourceError, PermissionError) as error:
        raise SettingsError(f"--source {one_line(error)}") from error


_found = lru_cache(maxsize=8)(survey)


def forget_listings() -> None:
    """Look anew from now on: a new command begins."""
    _found.cache_clear()


def drawn(run: Run) -> Collection:
    """The faces drawn into a run, which its settings tell apart, and a copy's times do not."""
    found = survey(run.path("source"), "videos")
    return Collection([replace(source, stamp="") for source in found.sources], found.seen)


Outcome = TypeVar("Outcome", bound=Told)


def fingerprint(of_stage: str, source: Source) -> str:
    """What an outcome stands on: the settings and inputs of its stage, and the source's files."""
    return digest_of(stage=of_stage, source=source.stamp)


@dataclass(frozen=True)
class Reading(Generic[Outcome]):
    """The sources that a stage has yet to read (`left`), the outcomes of all others (`kept`), and
    how many were `replaced`, `removed` or failed and are to be tried again (`retried`)."""

    left: list[Source]
    kept: list[Outcome]
    replaced: int
    removed: int
    retried: frozenset[str]

    @property
    def sources(self) -> int:
        """How many there are, read or not."""
        return len(self.left) + len(self.kept)

    @property
    def changes(self) -> str:
        """What is not as it was, in words; "" where all is."""
        if not self.left and not self.removed:
            return ""
        counts = {
            "added": len(self.left) - self.replaced - len(self.retried),
            "replaced": self.replaced,
            "removed": self.removed,
            "tried again": len(self.retried),
        }
        if not self.retried:
            del counts["tried again"]
        told = [f"{count} {what}" for what, count in counts.items()]
        return f"of its sources {', '.join(told)}, {len(self.kept)} kept as they are"


def compare(
    sources: list[Source],
    known: Iterable[Outcome],
    of_stage: str,
    retry: bool = False,
    names: frozenset[str] | None = None,
) -> Reading[Outcome]:
    """Tell which sources have an outcome already. Of several of one source that counts which is
    of its present files, and then the one that gave a result, and then the first.

    `names` are those of all sources, where only some of them are to be read: the others are there.
    """
    there = {as_utf8(source.name): source for source in sources}
    current = {name: fingerprint(of_stage, source) for name, source in there.items()}
    outcomes = _best(known, current)
    kept, retried, replaced = [], set(), 0
    for name in there.keys() & outcomes.keys():
        found = outcomes[name]
        if found.fingerprint != current[name]:
            replaced += 1
        elif retry and found.reason:
            retried.add(name)
        else:
            kept.append(found)
    done = {outcome.name for outcome in kept}
    left = [source for name, source in there.items() if name not in done]
    removed = len(outcomes.keys() - (there.keys() if names is None else names))
    return Reading(left, kept, replaced, removed, frozenset(retried))


def again(sources: list[Source], known: Iterable[Outcome]) -> Reading[Outcome]:
    """The sources that failed are left, and nothing else: whatever came, went or changed since."""
    outcomes = _best(known, {})
    failed = frozenset(name for name, outcome in outcomes.items() if outcome.reason)
    left = [source for source in sources if as_utf8(source.name) in failed]
    retried = frozenset(as_utf8(source.name) for source in left)
    kept = [outcome for name, outcome in outcomes.items() if name not in retried]
    return Reading(left, kept, 0, 0, retried)


def _best(known: Iterable[Outcome], current: Mapping[str, str]) -> dict[str, Outcome]:
    """One outcome a name: of several that of the `current` fingerprint, then one with a result."""
    best: dict[str, tuple[tuple[bool, bool], Outcome]] = {}
    for outcome in known:
        worth = outcome.fingerprint == current.get(outcome.name), not outcome.reason
        if outcome.name not in best or worth > best[outcome.name][0]:
            best[outcome.name] = worth, outcome
    return {name: outcome for name, (_, outcome) in best.items()}
