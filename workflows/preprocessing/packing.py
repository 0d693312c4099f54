"""Parts to shards, when all sources have become parts: the second phase of the stage preprocess."""

import pickle
from collections import Counter
from dataclasses import replace
from functools import partial

from datasets.clips.clip import ClipId, other_person
from datasets.protocols.published import Protocol
from datasets.protocols.split import SPLITS
from datasets.shards.assembly import PlannedRow, ShardPlan, assemble_shard, part_rows, plan_shards
from datasets.shards.files import ShardError
from datasets.sources.memory import give_back
from infra import storage
from infra.errors import RunError
from infra.progress import say
from infra.runs import Stage, digest_of
from infra.settings.settings import Settings
from workflows.preprocessing import splits
from workflows.preprocessing.outcomes import Outcome, from_json
from workflows.preprocessing.parts import PARTS
from workflows.shared import artifacts
from workflows.shared.ray_rows import Row, each
from workflows.shared.result_files import (
    SOURCES,
    problems_of,
    read_outcomes,
    write_errors,
    write_outcomes,
)

SHARDS = "shards"  # where the clips of a source are that were in shards already
KEPT = f"{PARTS}/kept"  # such shards
PLAN = f"{PARTS}/plan"  # which clips go into which shard


def deal(
    settings: Settings, stage: Stage, outcomes: list[Outcome], protocol: Protocol | None
) -> list[ShardPlan]:
    """Deal the clips of all parts to shards; raises RunError without a clip."""
    split_of = splits.dealer(settings, protocol)
    people: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        people.setdefault(outcome.part, {})[outcome.name] = outcome

    def place(clip: ClipId, known: dict[str, Outcome]) -> tuple[str, str] | None:
        if clip.video not in known:
            return None
        # Who is seen beside a person is dealt with this person: they may be together elsewhere.
        person = known[clip.video].identity
        number = known[clip.video].others.get(str(clip.track), 0)
        return split_of(person), other_person(clip.video, number) if number else person

    planned: list[PlannedRow] = []
    for part in sorted(people.keys() - {"", SHARDS}):
        planned += part_rows(stage.path(part), partial(place, known=people[part]))
    for uri in storage.files(stage.path(KEPT), ".parquet") if SHARDS in people else ():
        planned += part_rows(uri, partial(place, known=people[SHARDS]))
    if not planned:
        write_errors(stage.path("errors.parquet"), problems_of("preprocess", outcomes))
        reasons = Counter(outcome.reason for outcome in outcomes).most_common(1)
        raise RunError(
            f"no clip in {len(outcomes)} sources; the reasons are in "
            f"{stage.path('errors.parquet')}, such as: {reasons[0][0]}"
        )
    return plan_shards(planned, settings.preprocess.shard_megabytes * 2**20)


def keep_shards(stage: Stage) -> None:
    """Where a complete data set is opened again, its shards become parts like others."""
    if storage.exists(stage.path(SOURCES)) and not storage.exists(stage.path(PLAN)):
        for split in SPLITS:
            for uri in storage.files(stage.path(split), ".parquet"):
                number = uri.rsplit("/", 1)[1]
                storage.move(uri, stage.path(KEPT, f"{split}-{number}"))


def kept_outcomes(stage_folder: str) -> list[Outcome]:
    """What became of every source of a data set when it was complete; [] where it never was."""
    return from_json(read_outcomes(stage_folder))


def write_sources(stage: Stage, outcomes: list[Outcome]) -> None:
    """Write what became of every source, now that the clips are in shards."""
    placed = [replace(each, part=SHARDS if each.part else "") for each in outcomes]
    write_outcomes(stage.uri, placed)


def assemble(stage: Stage, plans: list[ShardPlan], workers: int | None) -> None:
    """Write every shard that is not there yet."""
    _forget_other_plan(stage, plans)
    items = [{"plan": pickle.dumps(plan)} for plan in plans]
    written = list(each(items, partial(_shard, stage.uri), workers))
    say(stage.name, f"{sum(row['rows'] for row in written)} clips in {len(written)} shards")


def _forget_other_plan(stage: Stage, plans: list[ShardPlan]) -> None:
    """Remove the shards of another plan: a source came or went since the run was cut off."""
    rows_of = [(plan.name, [(r.clip_id, r.identity) for r in plan.rows]) for plan in plans]
    digest = digest_of(plans=rows_of)
    record = stage.path(PLAN)
    if storage.exists(record) and storage.read_json(record) == digest:
        return
    for split in SPLITS:
        storage.remove(stage.path(split))
    storage.write_json(record, digest)


def _shard(folder: str, row: Row) -> Row:
    plan: ShardPlan = pickle.loads(row["plan"])
    uri = storage.join(folder, plan.name)
    if storage.exists(uri):
        found = artifacts.rows([uri])
    else:
        found = assemble_shard(plan, uri)
        give_back()
    if found != len(plan.rows):
        raise ShardError(
            f"{uri}: holds {found} clips, {len(plan.rows)} were planned; remove it and run again"
        )
    return {"rows": found}
