"""The one Ray Data graph of the stage enhance: sources in, outcomes out."""

import json
from collections.abc import Iterator

import ray.data

from datasets.sources.layouts import Source
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from workflows.enhancement.outputs import Restored, from_json
from workflows.enhancement.restore import Enhancer
from workflows.shared.ray_rows import dataset, rows
from workflows.shared.source_rows import item


def restored(
    settings: Settings, run: Run, stage: Stage, sources: list[Source]
) -> Iterator[Restored]:
    """What became of each source, in the order in which they end.

    A pool of actors, each with the network on one CPU and its share of a GPU; without a number of
    workers as many as the cluster holds, and more when it grows. Raises as `ray_rows.rows` does.
    """
    options = settings.enhance
    outcomes = dataset([item([source]) for source in sources]).map_batches(
        Enhancer,
        fn_constructor_args=(settings, run, stage.uri, stage.fingerprint),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=options.workers),
        num_cpus=1,
        num_gpus=options.gpus_per_worker or None,
    )
    for row in rows(outcomes):
        yield from_json(json.loads(row["outcome"]))
