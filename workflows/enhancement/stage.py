"""Stage enhance: batch inference over a collection of videos, on a pool of Ray Data actors."""

import numpy as np

from infra import cluster, storage
from infra.attempts import forget
from infra.errors import SettingsError
from infra.progress import say
from infra.runs import Run
from infra.settings.settings import Settings
from model.variants import parse_variant
from workflows.enhancement.graph import restored
from workflows.enhancement.outputs import Restored, write_tables
from workflows.shared.source_survey import find


def enhance(settings: Settings, run: Run) -> None:
    """Write an mp4 of restored faces a track below `enhanced/`, and `manifest.parquet`."""
    options = settings.enhance
    root = options.source or settings.source or run.path("source")
    used = {"enhance": options.model_dump(exclude={"workers", "batch_size", "gpus_per_worker"}),
            "source": storage.absolute(root)}  # fmt: skip
    with run.stage("enhance", "enhanced", used, [f"train/{options.variant}"]) as stage:
        if stage is None:
            return
        layout = "auto" if options.source else settings.preprocess.layout
        sources = find(root, layout).sources
        if options.limit is not None and options.limit < len(sources):
            spread = np.linspace(0, len(sources) - 1, options.limit).round().astype(int)
            sources = [sources[index] for index in spread]
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        forget(stage.uri)
        outcomes: list[Restored] = []
        for outcome in restored(settings, run, stage.uri, sources):
            outcomes.append(outcome)
            found = outcome.reason or f"{len(outcome.tracks)} tracks"
            say(stage.name, f"{len(outcomes)} of {len(sources)}: {outcome.name}: {found}")
        outcomes.sort(key=lambda outcome: outcome.name)
        write_tables(stage, outcomes, settings.preprocess.max_error_share * len(sources))


def check(settings: Settings) -> None:
    """Raise SettingsError for a variant that is not trained, or a source that is not there."""
    variant = settings.enhance.variant
    try:
        parse_variant(variant)
    except ValueError as error:
        raise SettingsError(f"enhance.variant: {error}") from error
    if variant not in settings.train.variants:
        raise SettingsError(
            f"enhance.variant: {variant} is not among train.variants "
            f"({', '.join(settings.train.variants)})"
        )
    if settings.enhance.source is not None:
        find(settings.enhance.source)
