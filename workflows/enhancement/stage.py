"""Stage enhance: batch inference over a collection of videos, on a pool of Ray Data actors."""

from functools import partial

import numpy as np

from datasets.sources.layouts import Source
from infra import cluster, storage
from infra.errors import InputError, SettingsError
from infra.extraction import Detection
from infra.nodes.preflight import Needs, require
from infra.progress import Count, say
from infra.runs import Run, Stage
from infra.settings.of_run import DRAWN
from infra.settings.settings import Settings
from infra.text import as_utf8
from model.variants import parse_variant
from workflows.enhancement.graph import restored
from workflows.enhancement.larger_models import check_models, digests
from workflows.enhancement.receipts import (
    Restored,
    complete_outcomes,
    outcomes_among,
    safe_name,
    write_tables,
)
from workflows.shared.face_models import chosen
from workflows.shared.face_models.finding import Choice
from workflows.shared.source_survey import Reading, again, compare, drawn, find


def enhance(settings: Settings, run: Run) -> None:
    """Write an mp4 of restored faces a track below `enhanced/`, and `manifest.parquet`.

    A film that was restored already, from the same files and with the same settings and weights,
    is kept.
    """
    options, root = settings.enhance, _root(settings, run)
    detector = _detector(settings, run)
    used = {
        "enhance": {name: v for name, v in options.made_from().items() if name != "source"}
        | {"large": options.for_large(), "models": digests(options.models, run)},
        "source": DRAWN if root == run.path("source") else root,
        "clip": settings.clip.stored(),
        "preprocess": chosen.made_from(settings, detector),
    }
    inputs = [f"train/{options.variant}"]
    changed = partial(changes, settings, run)
    with run.stage("enhance", "enhanced", used, inputs, changed) as stage:
        if stage is None:
            return
        files, before = storage.files(stage.uri), complete_outcomes(stage.uri)
        reading = _reading(settings, run, stage.fingerprint, outcomes_among(files), before)
        _clear(stage, files, reading.left)
        outcomes = reading.kept
        if outcomes:
            say(stage.name, f"{len(outcomes)} of {reading.sources} films are restored already")
        if reading.left:
            model = chosen.keep(run, stage.name, detector)
            detection = options.detection(settings.preprocess, model)
            outcomes = _restored(settings, run, stage, reading, detection)
        outcomes.sort(key=lambda outcome: outcome.name)
        write_tables(stage, outcomes, settings.preprocess.max_error_share * reading.sources)


def _restored(
    settings: Settings, run: Run, stage: Stage, reading: Reading[Restored], detection: Detection
) -> list[Restored]:
    """The outcomes that are kept, and those of the films that are left, as they are restored."""
    cluster.connect(settings.cluster.address, settings.cluster.cpus)
    require(needs(settings, run))
    outcomes = list(reading.kept)
    count = Count(stage.name, reading.sources, "films", begun=len(outcomes))
    for outcome in restored(settings, run, stage, reading.left, detection):
        outcomes.append(outcome)
        found = outcome.reason or f"{len(outcome.tracks)} tracks"
        line = f"{len(outcomes)} of {reading.sources}: {outcome.name}: {found}"
        if outcome.reason:
            say(stage.name, line)  # beside the bar of a terminal, too
        count.done(len(outcomes), line=None if outcome.reason else line)
    return outcomes


def _clear(stage: Stage, files: list[str], sources: list[Source]) -> None:
    """Remove what is there of films that were replaced, or that a killed command was at."""
    folders = {stage.path(safe_name(source)) for source in sources}
    for uri in files:
        if uri.rpartition("/")[0] in folders:  # and not below: other films may be there
            storage.remove(uri)


def _detector(settings: Settings, run: Run) -> Choice | None:
    """What is to find faces; None where each frame is a crop already."""
    how = settings.enhance.how_found(settings.preprocess)
    return None if how == "aligned" else chosen.choose(settings, run)


def _root(settings: Settings, run: Run) -> str:
    return storage.absolute(settings.enhance.source or settings.source or run.path("source"))


def _reading(
    settings: Settings,
    run: Run,
    fingerprint: str,
    known: list[Restored],
    before: list[Restored],
) -> Reading[Restored]:
    """What is left to restore, and what of the `known` is kept.

    Of more films than `enhance.limit` those stay that were restored `before`, when the stage was
    complete, and others are chosen evenly.
    """
    if settings.retry_errors and before:
        return again(_films(settings, run), [*known, *before])
    films = _films(settings, run)
    names = frozenset(as_utf8(film.name) for film in films)
    limit = settings.enhance.limit
    if limit is not None and limit < len(films):
        done = {outcome.name for outcome in before}
        stay = [film for film in films if as_utf8(film.name) in done][:limit]
        rest = [film for film in films if as_utf8(film.name) not in done]
        spread = np.linspace(0, len(rest) - 1, limit - len(stay)).round().astype(int)
        films = stay + [rest[index] for index in spread]
    return compare(films, known, fingerprint, settings.retry_errors, names)


def _films(settings: Settings, run: Run) -> list[Source]:
    options, root = settings.enhance, _root(settings, run)
    if root == run.path("source"):
        return drawn(run).sources
    return find(root, "auto" if options.source else settings.preprocess.layout).sources


def needs(settings: Settings, run: Run) -> Needs:
    """What the stage needs of Ray's nodes."""
    fields, gpus = "enhance.gpus_per_worker", settings.enhance.gpus_per_worker
    return Needs("enhance", run.uri, gpus=gpus, fields=fields, reads=[_root(settings, run)])


def changes(settings: Settings, run: Run, fingerprint: str) -> str:
    """What of the films has changed since all were restored, in words; "" for nothing."""
    known = complete_outcomes(run.path("enhanced"))
    if not known:
        return ""
    try:
        check_models(settings)  # without them nothing can be restored anew
        return _reading(settings, run, fingerprint, known, known).changes
    except (InputError, SettingsError) as error:
        say("enhance", f"its films are not compared: {error}")
        return ""


def check(settings: Settings) -> None:
    """Raise SettingsError for a variant that is not trained, a source that is not there, or a
    detector or a model that cannot be used."""
    variant = settings.enhance.variant
    try:
        parse_variant(variant)
    except ValueError as error:
        raise SettingsError(f"enhance.variant: {error}") from error
    trained = Run(settings.run).is_complete(f"train/{variant}")
    if variant not in settings.train.variants and not trained:
        raise SettingsError(
            f"enhance.variant: {variant} is not among train.variants "
            f"({', '.join(settings.train.variants)})"
        )
    if settings.enhance.source is not None:
        find(settings.enhance.source)
    _detector(settings, Run(settings.run))
    check_models(settings)
