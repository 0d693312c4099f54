"""The one Ray Data graph of the stage enhance: sources in, outcomes out."""

import json
from collections.abc import Iterator

from datasets.sources.layouts import Source
from infra import storage
from infra.extraction import Detection
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from workflows.enhancement.receipts import Restored, from_json
from workflows.enhancement.restore import Enhancer
from workflows.shared.ray_rows import on_actors
from workflows.shared.source_rows import item


def restored(
    settings: Settings, run: Run, stage: Stage, sources: list[Source], detection: Detection
) -> Iterator[Restored]:
    """What became of each source, in the order in which they end; each actor of the pool has the
    network. Raises as `ray_rows.rows` does."""
    options = settings.enhance
    # Workers may be at work in other folders.
    models = [storage.absolute(uri) for uri in options.models]
    options = options.model_copy(update={"models": models})
    settings = settings.model_copy(update={"enhance": options})
    arguments = (settings, run, detection, stage.uri, stage.fingerprint)
    items = [item([source]) for source in sources]
    for row in on_actors(Enhancer, arguments, items, options.workers, options.gpus_per_worker):
        yield from_json(json.loads(row["outcome"]))
