"""Sources to parts by the settings of a run: what one task of the stage preprocess does."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from datasets.clips.clip import Clip
from datasets.clips.cutting import clips_of
from datasets.clips.windows import Account
from datasets.shards.files import write_clips
from datasets.sources.layouts import Source
from infra import outages, process, storage
from infra.attempts import ATTEMPTS, SUFFIX, FileCounter, attempt
from infra.extraction import Cutting, Degradation, Detection, Geometry, Limits
from infra.settings.settings import Settings
from infra.text import digest
from workflows.preprocessing.outcomes import Outcome, from_json, outcome_of, to_json
from workflows.shared.ray_rows import Row
from workflows.shared.source_rows import face_detector, sources_of, why
from workflows.shared.source_survey import fingerprint

PARTS = "parts"  # the folder of what is not in shards yet
Guard = Callable[[int], AbstractContextManager[None]]  # around the work on a still, by its number


@dataclass(frozen=True)
class Extraction:
    """All that the clips of a source are made by."""

    geometry: Geometry
    detection: Detection
    degradation: Degradation
    cutting: Cutting
    limits: Limits
    seed: int


def extraction(settings: Settings, model: str | None = None) -> Extraction:
    """What the settings say of it; faces are found by the YuNet file `model`, or the cascade."""
    clip, options = settings.clip, settings.preprocess
    return Extraction(
        clip.geometry(), options.detection(model), clip.how_degraded(), options.cutting(),
        options.limits(), settings.seed,
    )  # fmt: skip


def make_part(how: Extraction, folder: str, of_stage: str, row: Row) -> Row:
    """Extract a bundle to a part; its outcomes are written last and say that the part is whole.

    They are given as text: rows of a table would have to agree on the reasons of rejections.
    """
    sources = sources_of(row)
    made_from = [fingerprint(of_stage, source) for source in sources]
    key = digest(*(source.name for source in sources), *made_from).hex()[:24]
    part = f"{PARTS}/{key}.parquet"
    outcomes_uri = storage.join(folder, PARTS, f"{key}.json")
    if not storage.exists(outcomes_uri):
        process.limit_threads(1)
        accounts = [Account() for _ in sources]
        record, many = outcomes_uri + SUFFIX, len(sources) > 1
        # A source that is slow but not stuck ends itself within half of it, and says so.
        seconds = 2 * how.limits.time_limit
        # Where one still of a bundle has killed the process, each of them is counted by itself.
        guarded = many and storage.exists(record)
        most = 1 + ATTEMPTS * len(sources) if many else ATTEMPTS

        def guard(number: int) -> AbstractContextManager[None]:
            own = f"{outcomes_uri}.{number}{SUFFIX}"
            return attempt(FileCounter(own), seconds) if guarded else nullcontext()

        counter = FileCounter(record)
        try:
            with outages.reporting(), attempt(counter, None if guarded else seconds, most):
                clips = _clips(how, sources, accounts, guard)
                write_clips(storage.join(folder, part), clips, packed=True)
        except Exception as error:  # whatever one input does to us, the others go on
            for source, account in zip(sources, accounts, strict=True):
                account.fail(*why(source, error))
        outcomes = [
            outcome_of(source, made, account, part)
            for source, made, account in zip(sources, made_from, accounts, strict=True)
        ]
        storage.write_json(outcomes_uri, to_json(outcomes))
    return {"outcomes": json.dumps(storage.read_json(outcomes_uri))}


def outcomes_below(folder: str, forget: frozenset[str] = frozenset()) -> list[Outcome]:
    """The outcomes of all parts below the stage's folder, when those of the sources named in
    `forget` have been struck out."""
    found: list[Outcome] = []
    files = storage.files(storage.join(folder, PARTS), ".json")
    for uri, content in zip(files, storage.read_all(files), strict=True):
        outcomes = from_json(json.loads(content))
        left = [outcome for outcome in outcomes if outcome.name not in forget]
        if not left:
            storage.remove(uri)
        elif len(left) < len(outcomes):
            storage.write_json(uri, to_json(left))
        found += left
    return found


def outcomes_in(row: Row) -> list[Outcome]:
    """The outcomes in the row that `make_part` gave."""
    return from_json(json.loads(row["outcomes"]))


def _clips(
    how: Extraction, sources: list[Source], accounts: list[Account], guard: Guard
) -> Iterator[Clip]:
    """The clips of all sources; a still that fails says so in its account, and the next follows."""
    for number, (source, account) in enumerate(zip(sources, accounts, strict=True)):
        if source.kind != "image":
            yield from clips_by(how, source, account)
            continue
        try:
            with outages.reporting(), guard(number):
                made = list(clips_by(how, source, account))
        except Exception as error:  # as in make_part
            account.fail(*why(source, error))
        else:
            yield from made


def clips_by(how: Extraction, source: Source, account: Account) -> Iterator[Clip]:
    """The clips of a source; `account` is filled on the way."""
    return clips_of(
        source, face_detector(how.detection), how.geometry, how.detection, how.degradation,
        how.cutting, seed=how.seed, limits=how.limits, account=account,
    )  # fmt: skip
