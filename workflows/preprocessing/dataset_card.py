"""The card of a data set, `clips/dataset.json`: what the clips were made from, by what, and what
became of every input. `docs/data.md` describes its fields."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets.clips import realistic
from datasets.clips.clip import ClipId
from datasets.protocols.split import SPLITS
from datasets.shards.assembly import ShardPlan
from datasets.shards.schema import SCHEMA_VERSION
from datasets.tracking.camera import DISTANCES
from datasets.tracking.tracks import SELDOM_SEEN, TOO_SMALL
from infra.provenance import commit, versions
from infra.settings.settings import Settings
from workflows.preprocessing.outcomes import Outcome
from workflows.shared.face_models.finding import Choice

CARD = "dataset.json"
Row = dict[str, Any]


@dataclass
class _Balance:
    """What was found, and where it went: `found` = `accepted` + all `rejected` + all `errors`."""

    found: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def row(self, **more: int) -> Row:
        both = {"rejected": self.rejected, "errors": self.errors}
        counts = {name: dict(sorted(count.items())) for name, count in both.items()}
        return {"found": self.found, "accepted": self.accepted, **counts, **more}


def make_card(
    settings: Settings,
    outcomes: list[Outcome],
    plans: list[ShardPlan],
    sizes: dict[str, int],
    detector: Choice | None = None,
) -> Row:
    """Describe the data set that `plans` make of the parts in `outcomes` (one row an input).

    What was accepted is counted in the planned rows, as many as the shards were seen to hold; what
    was found, in the accounts of the inputs, so that `unbalanced` compares two things. `sizes` are
    bytes by path below the folder of clips, `detector` what found the faces.
    """
    clips = [ClipId.parse(row.clip_id) for plan in plans for row in plan.rows]
    by_video = Counter(clip.video for clip in clips)
    whole = [outcome for outcome in outcomes if not outcome.failed]
    people = _identities(plans)
    splits = {split: _split(split, plans, people, sizes) for split in SPLITS}
    return {
        "schema": SCHEMA_VERSION,
        "commit": commit(),
        "versions": versions(),
        "source": settings.source or "drawn faces",
        "seed": settings.seed,
        "clip": settings.clip.stored(),
        "preprocess": settings.preprocess.model_dump(exclude={"workers"}),
        "detector": detector and {"kind": detector.kind, "sha256": detector.sha256},
        "degradation": _degradation(settings),
        "face_motion": _face_motion(whole),
        "frames": sum(outcome.frames for outcome in outcomes),
        "treated": dict(sum((Counter(each.treated) for each in outcomes), Counter[str]())),
        "inputs": _inputs(outcomes, by_video).row(),
        "tracks": _tracks(whole, clips).row(),
        "clips": _clips(settings, whole, clips).row(),
        "splits": splits,
        "shards": sum(split["shards"] for split in splits.values()),
        "bytes": sum(split["bytes"] for split in splits.values()),
        "identities": people,
        "sources": _sources(outcomes, by_video),
    }


def unbalanced(card: Row) -> list[str]:
    """Name every account of a card that does not add up; [] where nothing was lost or doubled."""
    wrong = []
    for name in ("inputs", "tracks", "clips"):
        account = card[name]
        parts = (account["accepted"], *(sum(account[k].values()) for k in ("rejected", "errors")))
        if account["found"] != sum(parts):
            text = " + ".join(map(str, parts))
            wrong.append(f"{account['found']} {name} found, {text} accepted + rejected + errors")
    return wrong


def _inputs(outcomes: Iterable[Outcome], clips: Counter[str]) -> _Balance:
    balance = _Balance()
    for outcome in outcomes:
        balance.found += 1
        if outcome.failed:
            balance.errors[outcome.kind] += 1
        elif clips[outcome.name]:
            balance.accepted += 1
        elif not outcome.clips:
            balance.rejected[outcome.kind] += 1
    return balance


def _tracks(whole: Iterable[Outcome], clips: list[ClipId]) -> _Balance:
    balance = _Balance(accepted=len({(clip.video, clip.track) for clip in clips}))
    for outcome in whole:
        rejected: Counter[str] = Counter(outcome.rejected)
        unnumbered = (TOO_SMALL, SELDOM_SEEN)
        never = sum(n for reason, n in rejected.items() if reason.startswith(unnumbered))
        balance.found += outcome.tracks + never
        balance.rejected += rejected
    return balance


def _clips(settings: Settings, whole: Iterable[Outcome], clips: list[ClipId]) -> _Balance:
    balance = _Balance(accepted=len(clips))
    for outcome in whole:
        balance.found += outcome.clips + outcome.blurred
        if outcome.blurred:
            limit = f"sharpness under {settings.preprocess.min_sharpness:g}"
            balance.rejected[limit] += outcome.blurred
    return balance


def _split(split: str, plans: list[ShardPlan], people: Row, sizes: dict[str, int]) -> Row:
    mine = [plan for plan in plans if plan.split == split]
    return {
        "identities": sum(split in where for where in people.values()),
        "clips": sum(len(plan.rows) for plan in mine),
        "shards": len(mine),
        "bytes": sum(sizes[plan.name] for plan in mine),
    }


def _identities(plans: list[ShardPlan]) -> Row:
    """Clips of every person in each split; a person of two splits would show here."""
    found: dict[str, Counter[str]] = {}
    for plan in plans:
        for row in plan.rows:
            found.setdefault(row.identity, Counter())[plan.split] += 1
    return {name: dict(found[name]) for name in sorted(found)}


def _sources(outcomes: Iterable[Outcome], clips: Counter[str]) -> Row:
    """The account of every folder or file directly under the source root."""
    by_top: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_top.setdefault(outcome.name.split("/")[0], []).append(outcome)
    return {
        top: _inputs(mine, clips).row(clips=sum(clips[outcome.name] for outcome in mine))
        for top, mine in sorted(by_top.items())
    }


def _degradation(settings: Settings) -> Row:
    record = settings.clip.how_degraded().record()
    return record | realistic.RANGES if record["kind"] == "realistic" else record


def _face_motion(whole: Iterable[Outcome]) -> Row:
    """How far faces move over the low grid, by frames from the centre: low pixels, RMS an axis, to
    a thousandth. Distances that no clip reaches are left out."""
    total = sum((np.array(outcome.moves) for outcome in whole), np.zeros((len(DISTANCES), 2)))
    return {
        str(distance): round(float(np.sqrt(squares / many)), 3)
        for distance, (squares, many) in zip(DISTANCES, total, strict=True)
        if many
    }
