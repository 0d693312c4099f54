"""Which clips a verification protocol compares: of images (LFW), of tracks (YTF), or drawn (§5.2).

An item is what a protocol names, an image or a video, and the clips that show it; a pair joins two
items. What a protocol names and the collection lacks is listed, and its pairs are left out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from datasets.clips.clip import is_other_person
from datasets.protocols.drawn_pairs import draw_pairs
from datasets.protocols.published import LfwPair, YtfPair
from datasets.sources.discovery import IMAGE_EXTENSIONS


class Key(NamedTuple):
    """What tells a clip from others: columns of a shard."""

    clip_id: str
    identity: str
    video: str
    track: int
    frame: int


class NamedPair(NamedTuple):
    """A pair as a protocol names it."""

    first: str
    second: str
    same: bool
    split: int = 1


@dataclass(frozen=True)
class Pairing:
    """Items and pairs of them.

    Attributes:
        members: clip id → index of the item that the clip belongs to.
        pairs: (first, second) indices of items.
        same: one label a pair, True for the same person.
        counts: how many pairs of each kind.
        missing: names in the protocol of which there is no clip, sorted.
    """

    members: dict[str, int] = field(default_factory=dict)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(set(self.members.values()))


def lfw_names(pairs: Iterable[LfwPair]) -> list[NamedPair]:
    """Names both images of each pair as `Name_0001`."""
    return [
        NamedPair(
            f"{pair.first_person}_{pair.first_image:04d}",
            f"{pair.second_person}_{pair.second_image:04d}",
            pair.same,
            pair.split,
        )
        for pair in pairs
    ]


def ytf_names(pairs: Iterable[YtfPair]) -> list[NamedPair]:
    """Names both videos of each pair as `Name/0`."""
    return [NamedPair(pair.first_video, pair.second_video, pair.same, pair.split) for pair in pairs]


def lfw_items(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Clips by image: the last part of the video's path, without the ending of an image file; of
    several people in an image the clip of whom it is called after."""
    found: dict[str, list[str]] = defaultdict(list)
    for key in _named(keys):
        path = PurePosixPath(key.video)
        image = path.suffix[1:].lower() in IMAGE_EXTENSIONS
        found[path.stem if image else path.name].append(key.clip_id)
    return dict(found)


def ytf_items(keys: Iterable[Key], track_frames: int, radius: int) -> dict[str, list[str]]:
    """Clips by video, the last two parts of its path: those of its person's longest track, whose
    centre is among the track's first `track_frames` frames.

    A clip reaches `radius` frames to each side, so the track's first frame is taken to lie
    `radius` before its first centre.
    """
    videos: dict[str, dict[int, list[Key]]] = defaultdict(lambda: defaultdict(list))
    for key in _named(keys):
        videos["/".join(PurePosixPath(key.video).parts[-2:])][key.track].append(key)
    found = {}
    for name, tracks in videos.items():
        longest = max(tracks.values(), key=lambda clips: (len(clips), -clips[0].track))
        begin = min(key.frame for key in longest) - radius
        found[name] = [key.clip_id for key in longest if key.frame < begin + track_frames]
    return found


def _named(keys: Iterable[Key]) -> Iterator[Key]:
    return (key for key in keys if not is_other_person(key.identity))


def named_pairing(
    pairs: Sequence[NamedPair], items: Mapping[str, list[str]], count: int, seed: int
) -> Pairing:
    """Joins a protocol's pairs with the clips that there are; at most `count` pairs of each kind.

    Where there are more, `seed` draws them. Pairs that lack a side are left out.
    """
    missing = sorted({name for pair in pairs for name in pair[:2] if name not in items})
    usable = [pair for pair in pairs if pair.first in items and pair.second in items]
    generator = np.random.default_rng(seed)
    chosen: list[NamedPair] = []
    for same in (True, False):
        kind = [pair for pair in usable if pair.same == same]
        kept = generator.permutation(len(kind))[:count]
        chosen += [kind[index] for index in sorted(kept)]
    names = sorted({name for pair in chosen for name in pair[:2]})
    index = {name: place for place, name in enumerate(names)}
    kinds = Counter("same" if pair.same else "different" for pair in chosen)
    return Pairing(
        members={clip: index[name] for name in names for clip in items[name]},
        pairs=[(index[pair.first], index[pair.second]) for pair in chosen],
        same=[pair.same for pair in chosen],
        counts={
            # A protocol pairs different images or videos of a person.
            "same_across_videos": kinds["same"],
            "same_within_video": 0,
            "different": kinds["different"],
            "incomplete": len(pairs) - len(usable),
        },
        missing=missing,
    )


def drawn_pairing(keys: Sequence[Key], count: int, seed: int) -> Pairing:
    """Pairs of single clips by `drawn_pairs.draw_pairs`, `count` of each kind at most; none where
    not one pair of each kind can be made."""
    try:
        drawn = draw_pairs(
            [key.identity for key in keys], [key.video for key in keys],
            [key.frame for key in keys], seed=seed, count=2 * count,
        )  # fmt: skip
    except ValueError:
        return Pairing(counts={"same_across_videos": 0, "same_within_video": 0, "different": 0})
    used = sorted({clip for pair in drawn.pairs for clip in pair})
    index = {clip: place for place, clip in enumerate(used)}
    return Pairing(
        members={keys[clip].clip_id: place for clip, place in index.items()},
        pairs=[(index[first], index[second]) for first, second in drawn.pairs],
        same=drawn.same,
        counts={
            "same_across_videos": drawn.same_across_videos,
            "same_within_video": drawn.same_within_video,
            "different": drawn.different,
        },
    )
