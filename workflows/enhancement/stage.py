"""Stage enhance: batch inference over a collection of videos, on a pool of Ray Data actors."""

import numpy as np
import pyarrow as pa
import ray.data

from datasets.sources.layouts import Source
from infra import cluster, storage
from infra.attempts import forget
from infra.errors import SettingsError
from infra.progress import say
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from model.network import parse_variant
from workflows.enhancement.restore import Enhancer
from workflows.preprocessing.parts import item
from workflows.preprocessing.stage import find
from workflows.shared.ray_rows import Row, rows
from workflows.shared.result_files import InputProblem, write_errors, write_rows

MANIFEST = pa.schema(
    [
        pa.field("uri", pa.string(), metadata={"description": "the source"}),
        pa.field("video", pa.string(), metadata={"description": "its path under the root"}),
        pa.field("identity", pa.string(), metadata={"description": "its parent folder"}),
        pa.field("track", pa.int32(), metadata={"description": "number of the track, from 0"}),
        pa.field("first_frame", pa.int64(), metadata={"description": "index in the source"}),
        pa.field("frames", pa.int64(), metadata={"description": "frames of the track"}),
        pa.field("fps", pa.string(), metadata={"description": "frame rate as a fraction"}),
        pa.field("crop_side", pa.float64(), metadata={"description": "median side [source px]"}),
        pa.field(
            "input",
            pa.string(),
            metadata={
                "description": "native: the crop was as small as the network's input; degraded: "
                "it was larger and was made as small as in training, so the source shows more"
            },
        ),
        pa.field("variant", pa.string(), metadata={"description": "what restored it"}),
        pa.field("weights", pa.string(), metadata={"description": "SHA-256 of the weights"}),
        pa.field("output", pa.string(), metadata={"description": "the mp4 of restored faces"}),
    ]
)


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
        outcomes = _restore_all(settings, run, stage, sources)
        rows = [row for outcome in outcomes for row in outcome["tracks"]]
        errors = [
            InputProblem(o["uri"], "enhance", o["kind"], o["reason"])
            for o in outcomes
            if o["reason"]
        ]
        write_rows(stage.path("manifest.parquet"), rows, MANIFEST)
        write_errors(stage.path("errors.parquet"), errors)
        allowed = settings.preprocess.max_error_share * len(sources)
        stage.counts |= {
            "sources": len(sources),
            "tracks": len(rows),
            "frames": sum(row["frames"] for row in rows),
            "errors": len(errors),
            "exit_status": int(len(errors) > allowed),
        }


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


def _restore_all(settings: Settings, run: Run, stage: Stage, sources: list[Source]) -> list[Row]:
    gpus = settings.enhance.gpus_per_worker
    workers = settings.enhance.workers or cluster.gpu_count() or cluster.cpu_count()
    items = [item([source]) for source in sources]
    data = ray.data.from_items(items, override_num_blocks=min(len(items), 4096)).map(
        Enhancer,
        fn_constructor_args=(settings, run, stage.uri),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    forget(stage.uri)
    outcomes: list[Row] = []
    for outcome in rows(data):
        outcomes.append(outcome)
        found = outcome["reason"] or f"{len(outcome['tracks'])} tracks"
        say(stage.name, f"{len(outcomes)} of {len(sources)}: {outcome['name']}: {found}")
    return sorted(outcomes, key=lambda outcome: str(outcome["name"]))
