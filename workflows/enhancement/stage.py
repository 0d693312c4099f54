"""Stage enhance: batch inference over a collection of videos, on a pool of Ray Data actors."""

from functools import partial

import numpy as np

from datasets.sources.layouts import Source
from infra import cluster, storage
from infra.errors import InputError, SettingsError
from infra.nodes.preflight import Needs, require
from infra.progress import Count, say
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from infra.text import as_utf8
from model.variants import parse_variant
from workflows.enhancement.graph import restored
from workflows.enhancement.outputs import (
    complete_outcomes,
    outcomes_below,
    safe_name,
    write_tables,
)
from workflows.shared.source_survey import compare, drawn, find


def enhance(settings: Settings, run: Run) -> None:
    """Write an mp4 of restored faces a track below `enhanced/`, and `manifest.parquet`.

    A film that was restored already, from the same files and with the same settings and weights,
    is kept.
    """
    options, root = settings.enhance, _root(settings, run)
    used = {
        "enhance": {name: v for name, v in options.made_from().items() if name != "source"},
        "source": "drawn faces" if root == run.path("source") else root,
        "clip": settings.clip.stored(),
        "preprocess": settings.preprocess.made_from(),
    }
    inputs = [f"train/{options.variant}"]
    changed = partial(changes, settings, run)
    with run.stage("enhance", "enhanced", used, inputs, changed) as stage:
        if stage is None:
            return
        sources, names = _sources(settings, run)
        known = outcomes_below(stage.uri)
        reading = compare(sources, known, stage.fingerprint, settings.retry_errors, names)
        outcomes = reading.kept
        if outcomes:
            say(stage.name, f"{len(outcomes)} of {len(sources)} films are restored already")
        _clear(stage, reading.left)
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        fields, gpus = "enhance.gpus_per_worker", options.gpus_per_worker
        require(Needs(stage.name, run.uri, gpus=gpus, fields=fields, reads=[root]))
        count = Count(stage.name, len(sources), "films")
        for outcome in restored(settings, run, stage, reading.left) if reading.left else ():
            outcomes.append(outcome)
            found = outcome.reason or f"{len(outcome.tracks)} tracks"
            line = f"{len(outcomes)} of {len(sources)}: {outcome.name}: {found}"
            if outcome.reason:
                say(stage.name, line)  # beside the bar of a terminal, too
            count.done(len(outcomes), line=None if outcome.reason else line)
        outcomes.sort(key=lambda outcome: outcome.name)
        write_tables(stage, outcomes, settings.preprocess.max_error_share * len(sources))


def _clear(stage: Stage, sources: list[Source]) -> None:
    """Remove what is there of films that were replaced, or that a killed command was at."""
    begun = {uri.rpartition("/")[0] for uri in storage.files(stage.uri)}
    for source in sources:
        if (folder := stage.path(safe_name(source))) in begun:
            storage.remove(folder)


def _root(settings: Settings, run: Run) -> str:
    return storage.absolute(settings.enhance.source or settings.source or run.path("source"))


def _sources(settings: Settings, run: Run) -> tuple[list[Source], frozenset[str]]:
    """The films to restore, and the names of all there are."""
    options, root = settings.enhance, _root(settings, run)
    if root == run.path("source"):
        sources = drawn(run).sources
    else:
        layout = "auto" if options.source else settings.preprocess.layout
        sources = find(root, layout).sources
    names = frozenset(as_utf8(source.name) for source in sources)
    if options.limit is not None and options.limit < len(sources):
        spread = np.linspace(0, len(sources) - 1, options.limit).round().astype(int)
        sources = [sources[index] for index in spread]
    return sources, names


def changes(settings: Settings, run: Run, fingerprint: str) -> str:
    """What of the films has changed since all were restored, in words; "" for nothing."""
    try:
        sources, names = _sources(settings, run)
    except (InputError, SettingsError) as error:
        say("enhance", f"its films are not compared: {error}")
        return ""
    known = complete_outcomes(run.path("enhanced"))
    return compare(sources, known, fingerprint, settings.retry_errors, names).changes


def check(settings: Settings) -> None:
    """Raise SettingsError for a variant that is not trained, or a source that is not there."""
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
        find(storage.absolute(settings.enhance.source))
