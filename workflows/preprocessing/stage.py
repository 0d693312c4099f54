"""Stage preprocess: videos to shards of degraded clips, on Ray Data. `preprocess.py inspect RUN`
shows what it made."""

from functools import partial

import ray

from datasets.drawn.dataset import write_person
from datasets.protocols.split import SPLITS
from datasets.shards.assembly import ShardPlan
from datasets.sources.discovery import Collection
from datasets.sources.layouts import Source
from infra import cluster, storage
from infra.attempts import forget
from infra.errors import RunError, SettingsError
from infra.nodes.preflight import Needs, require
from infra.progress import Count, say
from infra.runs import Run, Stage
from infra.settings.of_run import DRAWN
from infra.settings.settings import Settings
from workflows.preprocessing import packing, splits
from workflows.preprocessing.dataset_card import CARD, make_card, unbalanced
from workflows.preprocessing.outcomes import Outcome
from workflows.preprocessing.parts import (
    PARTS,
    extraction,
    make_part,
    outcomes_below,
    outcomes_in,
)
from workflows.shared.face_models import chosen
from workflows.shared.face_models.finding import Choice
from workflows.shared.ray_rows import each
from workflows.shared.result_files import problems_of, write_errors
from workflows.shared.source_rows import bundles, item
from workflows.shared.source_survey import Reading, again, compare, drawn, find
from workflows.stages import STAGES


def preprocess(settings: Settings, run: Run) -> None:
    """Write `clips/{train,validation,test}/*.parquet`, `clips/errors.parquet` and
    `clips/dataset.json`.

    First every film becomes a part of its own, and stills do in bundles, so that a job cut off goes
    on with the sources that are missing; then the rows of all parts are dealt to shards, shuffled
    once.
    """
    detector = _detector(settings, run)
    used = {
        "source": storage.absolute(settings.source) if settings.source else DRAWN,
        "seed": settings.seed,
        "clip": settings.clip.stored(),
        "preprocess": chosen.made_from(settings, detector),
    }
    if settings.source is None:
        used["synthetic"] = settings.synthetic.made_from()
    changed = partial(changes, settings, run)
    if run.is_complete("clips"):
        storage.remove(run.path("clips", PARTS))  # of a command that was killed at its very end
    with run.stage("preprocess", "clips", used, [], changed) as stage:
        if stage is not None:
            _make(settings, run, stage, detector)
    storage.remove(run.path("clips", PARTS))


def _make(settings: Settings, run: Run, stage: Stage, detector: Choice | None) -> None:
    protocol = splits.protocol_of(settings)
    cluster.connect(settings.cluster.address, settings.cluster.cpus)
    require(needs(settings, run))
    model = chosen.keep(run, stage.name, detector)
    if settings.source is None:
        _draw(settings, run)
    found = _sources(settings, run)
    say(stage.name, found.seen)
    outcomes = _extract(settings, stage, found.sources, model)
    plans = packing.deal(settings, stage, outcomes, protocol)
    packing.assemble(stage, plans, settings.preprocess.workers)
    stage.counts["people"] = dict(splits.refuse_leaks(stage.uri, settings, protocol))
    if protocol is not None:
        missing = splits.name_missing(settings, stage, protocol, found.sources)
        stage.counts["protocol"] = missing
    _account(settings, stage, outcomes, plans, detector)
    packing.write_sources(stage, outcomes)


def _detector(settings: Settings, run: Run) -> Choice | None:
    """What is to find faces; None where each frame is a crop already."""
    if settings.preprocess.faces == "aligned":
        return None
    return chosen.choose(settings, run, anew="preprocess" in settings.force)


def needs(settings: Settings, run: Run) -> Needs:
    """What the stage needs of Ray's nodes."""
    reads = [storage.absolute(settings.source)] if settings.source else []
    return Needs("preprocess", run.uri, reads=reads)


def changes(settings: Settings, run: Run, fingerprint: str) -> str:
    """What of the sources has changed since the clips were complete, in words; "" for nothing.

    Where other stages stand on the clips and the user has not said to go on, all stays as it is:
    with a line where other stages follow, and RunError where this one was asked for alone.
    """
    if settings.source is None and not settings.retry_errors:
        return ""
    try:
        sources = _sources(settings, run).sources
    except SettingsError as error:
        say("preprocess", f"its source is not compared: {error}")
        return ""
    known = packing.kept_outcomes(run.path("clips"))
    if not known:
        return ""
    changed = _reading(settings, sources, known, fingerprint, True).changes
    behind = [info for info in STAGES.values() if "preprocess" in info.needs]
    standing = [info.name for info in behind if run.is_complete(info.folder)]
    if changed and standing and not settings.update:
        told = (
            f"{changed}; {', '.join(standing)} were made from the clips as they are. Give --update "
            "to take the changes up, and redo these then; or another --run"
        )
        if run.alone:
            raise RunError(f"preprocess: {told}")
        say("preprocess", told)
        return ""
    return changed


def _reading(
    settings: Settings,
    sources: list[Source],
    known: list[Outcome],
    fingerprint: str,
    was_complete: bool,
) -> Reading[Outcome]:
    if settings.retry_errors and was_complete:
        return again(sources, known)
    return compare(sources, known, fingerprint, settings.retry_errors)


def _sources(settings: Settings, run: Run) -> Collection:
    if settings.source is None:
        return drawn(run)
    return find(settings.source, settings.preprocess.layout)


def check(settings: Settings) -> None:
    """Raise SettingsError for a source, a protocol or a detector that cannot be used."""
    options = settings.preprocess
    if settings.source is not None:
        sources = find(settings.source, options.layout).sources
        splits.check(settings, sources)
        photographs = all(source.kind == "image" for source in sources)
        if photographs and not options.bursts and settings.clip.num_frames > 1:
            raise SettingsError(
                f"clip.num_frames {settings.clip.num_frames}: the source holds stills only; give "
                "--preprocess.bursts, or --clip.num-frames 1"
            )
    elif options.layout not in ("auto", "videos") or options.protocol is not None:
        raise SettingsError(
            "preprocess.layout and preprocess.protocol are of a collection: give it with --source"
        )
    _detector(settings, Run(settings.run))


def _draw(settings: Settings, run: Run) -> None:
    """Draw the embedded default's videos into the run folder; those that are there are kept, where
    they were drawn with the same settings."""
    about = {"size": settings.clip.size, "seed": settings.seed, **settings.synthetic.made_from()}
    record = run.path("source", ".drawn.json")  # hidden: it is no film
    if not storage.exists(record) or storage.read_json(record) != about:
        storage.remove(run.path("source"))
        storage.write_json(record, about)
    say("preprocess", f"no --source: drawing {settings.synthetic.identities} people")
    people = range(settings.synthetic.identities)
    ray.get([_draw_person.remote(settings, run.path("source"), person) for person in people])


@ray.remote
def _draw_person(settings: Settings, folder: str, person: int) -> None:
    drawing = settings.synthetic
    with storage.local_folder(folder) as path:
        write_person(
            path, person, drawing.clips, drawing.frames, size=_even(settings.clip.size),
            seed=settings.seed, shake=drawing.shake,
        )  # fmt: skip


def _even(size: int) -> int:
    return size + size % 2


def _extract(
    settings: Settings, stage: Stage, sources: list[Source], model: str | None = None
) -> list[Outcome]:
    """Phase 1: every source that has no outcome yet becomes one; returns all, by name."""
    forget(stage.path(PARTS))
    packing.keep_shards(stage)
    before = packing.kept_outcomes(stage.uri)
    known = [*outcomes_below(stage.uri), *before]
    reading = _reading(settings, sources, known, stage.fingerprint, bool(before))
    if reading.retried:
        outcomes_below(stage.uri, forget=reading.retried)
    outcomes = reading.kept
    if outcomes:
        say(stage.name, f"{len(outcomes)} of {len(sources)} sources were read before")
    items = [item(bundle) for bundle in bundles(reading.left)]
    if not items:
        return sorted(outcomes, key=lambda outcome: outcome.name)
    workers = settings.preprocess.workers
    at_once = f"at most {workers}" if workers else "one a CPU"
    say(stage.name, f"{len(reading.left)} sources, {at_once} at once")
    task = partial(make_part, extraction(settings, model), stage.uri, stage.fingerprint)
    count = Count(stage.name, len(sources), "sources", begun=len(outcomes))
    for row in each(items, task, workers):
        outcomes += outcomes_in(row)
        count.done(len(outcomes))
    return sorted(outcomes, key=lambda outcome: outcome.name)


def _account(
    settings: Settings,
    stage: Stage,
    outcomes: list[Outcome],
    plans: list[ShardPlan],
    detector: Choice | None,
) -> None:
    """Count what became of every source, and write the errors table and the card."""
    errors = problems_of("preprocess", outcomes)
    write_errors(stage.path("errors.parquet"), errors)
    sizes = storage.sizes(stage.uri, ".parquet")
    card = make_card(settings, outcomes, plans, sizes, detector)
    if wrong := unbalanced(card):
        raise RunError(f"{stage.uri}: not every input is accounted for: {'; '.join(wrong)}")
    storage.write_json(stage.path(CARD), card)
    allowed = settings.preprocess.max_error_share * len(outcomes)
    stage.counts |= {
        "sources": len(outcomes),
        "frames": sum(outcome.frames for outcome in outcomes),
        "clips": card["clips"]["accepted"],
        "errors": len(errors),
        "exit_status": int(len(errors) > allowed),
        "rejected_tracks": card["tracks"]["rejected"],
    }
    for outcome in outcomes:
        for treatment, frames in outcome.treated.items():
            stage.counts[treatment] = stage.counts.get(treatment, 0) + frames
    for split in SPLITS:
        stage.counts[split] = card["splits"][split]["clips"]
    for error in errors[:20]:
        say(stage.name, f"error row: {error.source}: {error.reason}")
