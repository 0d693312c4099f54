"""Stage preprocess: videos to shards of degraded clips, on Ray Data. `preprocess.py inspect RUN`
shows what it made."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hashlib
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any

import ray
import ray.data

from datasets.assembly import (
    PlannedRow,
    ShardPlan,
    assemble_shard,
    part_rows,
    plan_shards,
)
from datasets.clips import Account, Clip, clips_of
from datasets.faces import Detector, DetectorError, build_detector
from datasets.shards import write_clips
from datasets.sources import Source, SourceError, find_sources
from datasets.split import SPLITS, split_of
from datasets.synthetic import write_person
from datasets.video import DecodeError
from infra import cluster, storage
from infra.errors import RunError, SettingsError
from infra.runs import Run, Stage, say
from infra.settings import Settings
from workflows.card import CARD, make_card, unbalanced
from workflows.command import main
from workflows.tables import write_errors

Row = dict[str, Any]


def preprocess(settings: Settings, run: Run) -> None:
    """Write `clips/{train,validation,test}/*.parquet`, `clips/errors.parquet` and
    `clips/dataset.json`.

    First every source becomes a part of its own, so that a job cut off goes on with the sources
    that are missing; then the rows of all parts are dealt to shards, shuffled once.
    """
    used = {
        "source": storage.absolute(settings.source) if settings.source else "drawn faces",
        "seed": settings.seed,
        "clip": settings.clip.model_dump(),
        "preprocess": settings.preprocess.model_dump(exclude={"workers", "max_error_share"}),
    }
    if settings.source is None:
        used["synthetic"] = settings.synthetic.model_dump()
    with run.stage("preprocess", "clips", used, []) as stage:
        if stage is None:
            return
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        sources = find(settings.source or _draw(settings, run))
        outcomes = _extract(settings, stage, sources)
        plans = _plan(settings, stage, outcomes)
        _assemble(settings, stage, plans)
        _account(settings, stage, outcomes, plans)
    storage.remove(run.path("clips", "parts"))


def find(root: str) -> list[Source]:
    """The sources under a folder or prefix; raises SettingsError in one line."""
    try:
        return find_sources(root)
    except SourceError as error:
        raise SettingsError(f"--source {error}") from error


def check(settings: Settings) -> None:
    """Raise SettingsError for a source or a detector's model that cannot be used."""
    if settings.source is not None:
        find(settings.source)
    model = settings.preprocess.detector_model
    if settings.preprocess.faces == "aligned" or model is None:
        return
    try:
        with storage.local_file(model) as path:
            build_detector(str(path), settings.preprocess.min_face)
    except (DetectorError, FileNotFoundError) as error:
        raise SettingsError(f"preprocess.detector_model: {error}") from error


def _draw(settings: Settings, run: Run) -> str:
    """Draw the embedded default's videos into the run folder; returns where they are."""
    say("preprocess", f"no --source: drawing {settings.synthetic.identities} people")
    people = range(settings.synthetic.identities)
    ray.get([_draw_person.remote(settings, run.path("source"), person) for person in people])
    return run.path("source")


@ray.remote
def _draw_person(settings: Settings, folder: str, person: int) -> None:
    chosen = settings.synthetic
    with storage.local_folder(folder) as path:
        write_person(
            path, person, chosen.clips, chosen.frames, size=_even(settings.clip.size),
            seed=settings.seed,
        )  # fmt: skip


def _even(size: int) -> int:
    return size + size % 2


def _extract(settings: Settings, stage: Stage, sources: list[Source]) -> list[Row]:
    """Phase 1: every source that has no outcome yet becomes one; returns all, by name."""
    items = [asdict(source) for source in sources]
    workers = settings.preprocess.workers or cluster.cpu_count()
    say(stage.name, f"{len(sources)} sources, {workers} at once")
    data = ray.data.from_items(items, override_num_blocks=min(len(items), 4096)).map(
        partial(_part, settings, stage.uri),
        num_cpus=1,
        compute=ray.data.TaskPoolStrategy(size=workers),
    )
    outcomes: list[Row] = []
    spoken = time.monotonic()
    for outcome in data.iter_rows():
        outcomes.append(outcome)
        if time.monotonic() - spoken > 10:
            say(stage.name, f"{len(outcomes)} of {len(sources)} sources")
            spoken = time.monotonic()
    return sorted(outcomes, key=lambda outcome: str(outcome["name"]))


def _part(settings: Settings, folder: str, row: Row) -> Row:
    """Extract one source to a part; its outcome is written last and says that the part is whole."""
    source = Source(**row)
    key = hashlib.sha256(source.name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    part = storage.join(folder, "parts", f"{key}.parquet")
    outcome_uri = storage.join(folder, "parts", f"{key}.json")
    if storage.exists(outcome_uri):
        return dict(storage.read_json(outcome_uri))
    account = Account()
    reason, failed = "", True
    try:
        write_clips(part, _clips(settings, source, account))
        reason, failed = account.reason(), False
    except DecodeError as error:
        reason = str(error)
    except Exception as error:  # whatever one input does to us, the others go on
        reason = f"{source.name}: {type(error).__name__}: {error}"
    if failed:
        account.clips = 0
    outcome = {
        "name": source.name,
        "uri": source.uri,
        "identity": source.identity,
        "part": part if account.clips else "",
        "clips": account.clips,
        "frames": account.frames,
        "tracks": account.tracks,
        "rejected": dict(account.rejected),
        "blurred": account.blurred,
        "failed": failed,
        "reason": " ".join(reason.split()),
    }
    storage.write_json(outcome_uri, outcome)
    return outcome


def _clips(settings: Settings, source: Source, account: Account) -> Iterator[Clip]:
    options, clip = settings.preprocess, settings.clip
    detect = None
    if options.faces == "detect":
        detect = face_detector(options.detector_model, options.min_face)
    return clips_of(
        source, detect, seed=settings.seed, size=clip.size, scale=clip.scale,
        blur_sigma=clip.blur_sigma, degradation=clip.degradation, num_frames=clip.num_frames,
        clip_stride=options.clip_stride, min_sharpness=options.min_sharpness,
        context=options.context, stride=options.detection_stride, min_face=options.min_face,
        max_pixels=options.max_pixels, account=account,
    )  # fmt: skip


@lru_cache(maxsize=4)
def face_detector(model: str | None, min_face: int) -> Detector:
    """A detector a process and setting; a model in object storage is fetched once."""
    if model is None:
        return build_detector(None, min_face)
    with storage.local_file(model) as path:
        return build_detector(str(path), min_face)


def _plan(settings: Settings, stage: Stage, outcomes: list[Row]) -> list[ShardPlan]:
    """Phase 2 begins: deal the clips of all parts to shards; raises RunError without a clip."""
    options = settings.preprocess
    shares = (options.train_share, options.validation_share)
    deal = partial(split_of, seed=settings.seed, shares=(*shares, 1 - sum(shares)))
    planned: list[PlannedRow] = []
    for outcome in outcomes:
        if outcome["part"]:
            planned += part_rows(outcome["part"], deal)
    if not planned:
        write_errors(stage.path("errors.parquet"), _errors(outcomes))
        reasons = Counter(str(outcome["reason"]) for outcome in outcomes).most_common(1)
        raise RunError(
            f"no clip in {len(outcomes)} sources; the reasons are in "
            f"{stage.path('errors.parquet')}, such as: {reasons[0][0]}"
        )
    return plan_shards(planned, options.shard_megabytes * 2**20)


def _assemble(settings: Settings, stage: Stage, plans: list[ShardPlan]) -> None:
    """Phase 2: write every shard that is not there yet."""
    data = ray.data.from_items(
        [{"plan": pickle.dumps(plan)} for plan in plans], override_num_blocks=len(plans)
    )
    written = data.map(partial(_shard, stage.uri), num_cpus=1).take_all()
    say(stage.name, f"{sum(row['rows'] for row in written)} clips in {len(written)} shards")


def _shard(folder: str, row: Row) -> Row:
    plan: ShardPlan = pickle.loads(row["plan"])
    uri = storage.join(folder, plan.name)
    if not storage.exists(uri):
        assemble_shard(plan, uri)
    return {"rows": len(plan.rows)}


def _errors(outcomes: list[Row]) -> list[tuple[str, str, str]]:
    return [(o["uri"], "preprocess", o["reason"]) for o in outcomes if o["reason"]]


def _account(settings: Settings, stage: Stage, outcomes: list[Row], plans: list[ShardPlan]) -> None:
    """Count what became of every source, and write the errors table and the card."""
    errors = _errors(outcomes)
    write_errors(stage.path("errors.parquet"), errors)
    card = make_card(settings, outcomes, plans, storage.sizes(stage.uri, ".parquet"))
    if wrong := unbalanced(card):
        raise RunError(f"{stage.uri}: not every input is accounted for: {'; '.join(wrong)}")
    storage.write_json(stage.path(CARD), card)
    allowed = settings.preprocess.max_error_share * len(outcomes)
    stage.counts |= {
        "sources": len(outcomes),
        "frames": sum(outcome["frames"] for outcome in outcomes),
        "clips": card["clips"]["accepted"],
        "errors": len(errors),
        "exit_status": int(len(errors) > allowed),
        "rejected_tracks": card["tracks"]["rejected"],
    }
    for split in SPLITS:
        stage.counts[split] = card["splits"][split]["clips"]
    for uri, _, reason in errors[:20]:
        say(stage.name, f"error row: {uri}: {reason}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["inspect"]:
        from workflows import inspect_clips  # here, so that workers do not load Matplotlib

        sys.exit(inspect_clips.main(sys.argv[2:]))
    sys.exit(main(["preprocess"], __doc__ or ""))
