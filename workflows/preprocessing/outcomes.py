"""What became of every source: the record that a part leaves, and that the card is made of."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from datasets.clips.people import others
from datasets.clips.windows import Account
from datasets.sources.layouts import Source
from infra.errors import RunError
from infra.text import as_utf8, one_line


@dataclass(frozen=True)
class Outcome:
    """The account of one source whose clips, if any, are in the file `part` of the stage's folder,
    or in its shards; the fields of its account are explained there. `fingerprint` is of what it was
    made from; `others` are its tracks (as text: JSON has no other keys) of other people than
    `identity`, with their numbers. `reason` says why it gave no clip, `kind` the same in words that
    are the same for every source, and `failed` whether it could not be read whole."""

    name: str
    fingerprint: str
    identity: str
    part: str
    clips: int
    frames: int
    tracks: int
    rejected: dict[str, int]
    treated: dict[str, int]
    blurred: int
    moves: list[list[float]]
    others: dict[str, int]
    failed: bool
    kind: str
    reason: str


def outcome_of(source: Source, fingerprint: str, account: Account, part: str) -> Outcome:
    """What became of a source, when its `account` is complete."""
    return Outcome(
        name=as_utf8(source.name),
        fingerprint=fingerprint,
        identity=as_utf8(source.identity),
        part=part if account.clips else "",
        clips=account.clips,
        frames=account.frames,
        tracks=account.tracks,
        rejected=dict(account.rejected),
        treated=dict(account.treated),
        blurred=account.blurred,
        moves=account.moves.tolist(),
        others={str(track): number for track, number in others(account.spans).items()},
        failed=bool(account.error),
        kind=account.kind(),
        reason=as_utf8(one_line(account.reason())),
    )


def to_json(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The outcomes as they are written to JSON."""
    return [asdict(outcome) for outcome in outcomes]


def from_json(values: Iterable[dict[str, Any]]) -> list[Outcome]:
    """The outcomes that `to_json` wrote; raises RunError where another version wrote them."""
    try:
        return [Outcome(**value) for value in values]
    except TypeError as error:
        raise RunError.of_another_version("preprocess") from error
