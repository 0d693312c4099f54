"""Photographs to parts, for the stage preprocess: many go to one, since two files for each would
drown an object store in requests."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import ray.data

from datasets.clips import Account, Clip
from datasets.layouts import Source
from datasets.shards import write_clips
from datasets.video import DecodeError
from infra import cluster, storage
from infra.runs import Stage, say
from infra.settings import Settings
from workflows.extraction import Row, clips_by, outcome_of

BUNDLE = 64


def extract(settings: Settings, stage: Stage, sources: list[Source]) -> list[Row]:
    """Every still that has no outcome yet becomes one; returns all."""
    bundles = [sources[i : i + BUNDLE] for i in range(0, len(sources), BUNDLE)]
    # As text: rows of a table would have to agree on the fields of what was rejected.
    items = [{"sources": json.dumps([asdict(each) for each in bundle])} for bundle in bundles]
    workers = settings.preprocess.workers or cluster.cpu_count()
    say(stage.name, f"{len(sources)} stills, {BUNDLE} a part, {workers} parts at once")
    data = ray.data.from_items(items, override_num_blocks=min(len(items), 4096)).map(
        partial(_part, settings, stage.uri),
        num_cpus=1,
        compute=ray.data.TaskPoolStrategy(size=workers),
    )
    outcomes: list[Row] = []
    spoken = time.monotonic()
    for row in data.iter_rows():
        outcomes += json.loads(row["outcomes"])
        if time.monotonic() - spoken > 10:
            say(stage.name, f"{len(outcomes)} of {len(sources)} stills")
            spoken = time.monotonic()
    return outcomes


def _part(settings: Settings, folder: str, row: Row) -> Row:
    """Extract a bundle to a part; its outcomes are written last and say that the part is whole."""
    sources = [Source(**each) for each in json.loads(row["sources"])]
    names = "\0".join(source.name for source in sources)
    key = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    part = storage.join(folder, "parts", f"{key}.parquet")
    outcomes_uri = storage.join(folder, "parts", f"{key}.json")
    if not storage.exists(outcomes_uri):
        outcomes: list[Row] = []
        write_clips(part, clips_of_stills(settings, sources, part, outcomes))
        storage.write_json(outcomes_uri, outcomes)
    return {"outcomes": json.dumps(storage.read_json(outcomes_uri))}


def clips_of_stills(
    settings: Settings, sources: list[Source], part: str, outcomes: list[Row]
) -> Iterator[Clip]:
    """The clips of stills, whose outcomes are added on the way; after a broken one the next
    follows."""
    for source in sources:
        account = Account()
        made: list[Clip] = []
        try:
            made = list(clips_by(settings, source, account))
            reason = account.reason()
        except Exception as error:  # whatever one input does to us, the others go on
            account.clips = 0
            known = isinstance(error, DecodeError)
            reason = str(error) if known else f"{source.name}: {type(error).__name__}: {error}"
        outcomes.append(outcome_of(source, account, part, reason))
        yield from made
