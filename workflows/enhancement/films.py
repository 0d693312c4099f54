"""Which films the stage enhance restores, and what of them is restored already."""

from dataclasses import dataclass, field, replace

import numpy as np

from datasets.sources.layouts import Source
from infra import storage
from infra.runs import Run
from infra.settings.settings import Settings
from infra.text import as_utf8
from workflows.enhancement.receipts import OURS, RECEIPT, Receipt, safe_name
from workflows.enhancement.steps import store
from workflows.shared.source_survey import Reading, again, compare, drawn, find, fingerprint

GONE = "its results were removed"  # a kind of error


def root(settings: Settings, run: Run) -> str:
    """The folder, prefix or file of the films."""
    return storage.absolute(settings.enhance.source or settings.source or run.path("source"))


def are_own(settings: Settings, run: Run) -> bool:
    """Whether they are those that the run's networks were trained on."""
    trained_on = storage.absolute(settings.source or run.path("source"))
    return settings.enhance.weights is None and root(settings, run) == trained_on


def reading(
    settings: Settings, run: Run, of_stage: str, known: list[Receipt], before: list[Receipt]
) -> Reading[Receipt]:
    """What is left to restore, and what of the `known` is kept.

    Of more films than `enhance.limit` those stay that were restored `before`, when the stage was
    complete, and others are chosen evenly.
    """
    films = _films(settings, run)
    if settings.retry_errors and before:
        there = {receipt.name for receipt in known}
        return again(films, [*known, *(_gone(each) for each in before if each.name not in there)])
    names = frozenset(as_utf8(film.name) for film in films)
    limit = settings.enhance.limit
    if limit is not None and limit < len(films):
        done = {receipt.name for receipt in before}
        stay = [film for film in films if as_utf8(film.name) in done][:limit]
        rest = [film for film in films if as_utf8(film.name) not in done]
        spread = np.linspace(0, len(rest) - 1, limit - len(stay)).round().astype(int)
        films = stay + [rest[index] for index in spread]
    return compare(films, known, of_stage, settings.retry_errors, names)


def _gone(receipt: Receipt) -> Receipt:
    """That of a film whose results a command has removed which was cut off before it made others:
    an error, to be tried again."""
    reason = f"{receipt.name}: its results were removed, and not made anew; give the command again"
    film = receipt.film | {"tracks": 0, "faces": 0, "kind": GONE, "error": reason}
    return replace(receipt, tracks=[], film=film, kind=GONE, reason=reason)


def _films(settings: Settings, run: Run) -> list[Source]:
    at = root(settings, run)
    if at == run.path("source"):
        return drawn(run).sources
    own = settings.enhance.source is None
    found = find(at, settings.preprocess.layout if own else "auto", alone=True).sources
    if not run.uri.startswith(f"{at}/"):
        return found
    # The run lies among the films: what it holds was made of them.
    return [film for film in found if not storage.absolute(film.uri).startswith(f"{run.uri}/")]


@dataclass
class Found:
    """What lies below the stage's folder: the numbers of the spans that are kept of films, by name,
    and the files that are no longer true, or of no use: receipts first, so that a command which is
    killed among them leaves none that tells of files that are gone."""

    spans: dict[str, list[int]] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def found_among(files: list[str], folder: str, of_stage: str, left: list[Source]) -> Found:
    """Tell the `files` below the stage's folder apart: of the films that are `left` all are stale
    but the spans that are kept of what they are now; of all others those are that spans are."""
    result = Found()
    those_left = {storage.join(folder, safe_name(source)): source for source in left}
    for uri in files:
        at, _, name = uri.rpartition("/")
        above, _, below = at.rpartition("/")
        if at in those_left:
            result.stale.append(uri)
        elif above in those_left and OURS.fullmatch(below):
            source = those_left[above]
            if at == store.folder_of(above, fingerprint(of_stage, source)):
                result.spans.setdefault(source.name, []).append(store.number(name))
            else:
                result.stale.append(uri)
        elif below.startswith(store.FOLDER):
            result.stale.append(uri)
    result.stale.sort(key=lambda uri: not uri.endswith(f"/{RECEIPT}"))
    return result
