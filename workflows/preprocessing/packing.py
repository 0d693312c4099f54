"""Parts to shards, when all sources have become parts: the second phase of the stage preprocess."""

import pickle
from collections import Counter
from functools import partial

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
from workflows.preprocessing.outcomes import Outcome
from workflows.shared import artifacts
from workflows.shared.ray_rows import Row, each
from workflows.shared.result_files import problems_of, write_errors


def deal(
    settings: Settings, stage: Stage, outcomes: list[Outcome], protocol: Protocol | None
) -> list[ShardPlan]:
    """Deal the clips of all parts to shards; raises RunError without a clip."""
    split_of = splits.dealer(settings, protocol)
    planned: list[PlannedRow] = []
    for part in sorted({outcome.part for outcome in outcomes} - {""}):
        planned += part_rows(part, split_of)
    if not planned:
        write_errors(stage.path("errors.parquet"), problems_of("preprocess", outcomes))
        reasons = Counter(outcome.reason for outcome in outcomes).most_common(1)
        raise RunError(
            f"no clip in {len(outcomes)} sources; the reasons are in "
            f"{stage.path('errors.parquet')}, such as: {reasons[0][0]}"
        )
    return plan_shards(planned, settings.preprocess.shard_megabytes * 2**20)


def assemble(stage: Stage, plans: list[ShardPlan], workers: int) -> None:
    """Write every shard that is not there yet."""
    _forget_other_plan(stage, plans)
    items = [{"plan": pickle.dumps(plan)} for plan in plans]
    written = list(each(items, partial(_shard, stage.uri), workers))
    say(stage.name, f"{sum(row['rows'] for row in written)} clips in {len(written)} shards")


def _forget_other_plan(stage: Stage, plans: list[ShardPlan]) -> None:
    """Remove the shards of another plan: a source came or went since the run was cut off."""
    rows_of = [(plan.name, [row.clip_id for row in plan.rows]) for plan in plans]
    digest = digest_of(plans=rows_of)
    record = stage.path("parts", "plan.json")
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
