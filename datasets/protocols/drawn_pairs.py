"""Draws verification pairs for a collection that has no protocol of its own."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

Pair = tuple[int, int]


@dataclass(frozen=True)
class DrawnPairs:
    """Pairs of item indices, as many of the same person as of two people, and what they are.

    Attributes:
        pairs: (first, second) indices of items.
        same: one label a pair, True for the same person.
        same_across_videos: how many pairs join two videos of one person.
        same_within_video: how many join two disjoint parts of one video.
        different: how many join two people.
    """

    pairs: list[Pair]
    same: list[bool]
    same_across_videos: int
    same_within_video: int
    different: int


def draw_pairs(
    identities: Sequence[str],
    videos: Sequence[str],
    frames: Sequence[int],
    seed: int,
    count: int,
    min_gap: int = 25,
) -> DrawnPairs:
    """Returns up to `count` distinct pairs of items, half of them of the same person.

    Item i shows person `identities[i]` around frame `frames[i]` of `videos[i]`. A person with two
    videos or more gives pairs across videos; one with a single video gives pairs of an item of
    its first half and one of its second, at least `min_gap` frames apart (25 keeps two clips of
    25 frames disjoint). People take turns, so that nobody with many clips dominates. Where fewer
    same-person pairs exist than asked for, both halves shrink alike. Raises ValueError where not
    one pair of either kind can be made, for lists of unequal length and a `count` below 2.
    """
    if not len(identities) == len(videos) == len(frames):
        raise ValueError(
            f"identities, videos, frames: expected one length, got {len(identities)}, "
            f"{len(videos)}, {len(frames)}"
        )
    if count < 2:
        raise ValueError(f"count: expected 2 pairs or more, got {count}")
    generator = np.random.default_rng(seed)
    people: dict[str, list[int]] = defaultdict(list)
    # Sorted, so that the draw does not depend on the order in which shards were read.
    for item in sorted(
        range(len(identities)), key=lambda i: (identities[i], videos[i], frames[i], i)
    ):
        people[identities[item]].append(item)

    wanted = min(count // 2, _different_available(people))
    same = _same_pairs(people, videos, frames, generator, wanted, min_gap)
    if not same:
        raise ValueError(
            f"no verification pair: {len(identities)} items of {len(people)} people give no pair "
            f"of the same person with one of two people (expected two people, one of them with "
            f"two videos or clips {min_gap} frames apart); use more videos or a smaller min_gap"
        )
    different = _different_pairs(people, generator, len(same))
    across = sum(videos[first] != videos[second] for first, second in same)
    return DrawnPairs(
        pairs=same + different,
        same=[True] * len(same) + [False] * len(different),
        same_across_videos=across,
        same_within_video=len(same) - across,
        different=len(different),
    )


def _same_pairs(
    people: dict[str, list[int]],
    videos: Sequence[str],
    frames: Sequence[int],
    generator: np.random.Generator,
    wanted: int,
    min_gap: int,
) -> list[Pair]:
    streams: list[Iterator[Pair]] = []
    for name in generator.permutation(sorted(people)):
        items = people[name]
        order = [int(i) for i in generator.permutation(items)]
        if len({videos[i] for i in items}) > 1:
            streams.append(_shuffled_pairs(order, lambda a, b: videos[a] != videos[b]))
        else:
            middle = (min(frames[i] for i in items) + max(frames[i] for i in items)) / 2
            streams.append(_shuffled_pairs(order, _in_both_halves(frames, middle, min_gap)))
    drawn: list[Pair] = []
    while streams and len(drawn) < wanted:
        left: list[Iterator[Pair]] = []
        for stream in streams:
            pair = next(stream, None)
            if pair is not None:
                drawn.append(pair)
                left.append(stream)
        streams = left
    return drawn[:wanted]


def _in_both_halves(
    frames: Sequence[int], middle: float, min_gap: int
) -> Callable[[int, int], bool]:
    def apart(first: int, second: int) -> bool:
        early, late = sorted((frames[first], frames[second]))
        return early < middle <= late and late - early >= min_gap

    return apart


def _shuffled_pairs(order: list[int], fits: Callable[[int, int], bool]) -> Iterator[Pair]:
    """Yields every fitting pair of a shuffled list once, without holding them all."""
    size = len(order)
    for step in range(1, size // 2 + 1):
        # The step of half an even length meets every pair twice.
        for start in range(step if 2 * step == size else size):
            first, second = order[start], order[(start + step) % size]
            if fits(first, second):
                yield first, second


def _different_available(people: dict[str, list[int]]) -> int:
    total = sum(len(items) for items in people.values())
    return (total**2 - sum(len(items) ** 2 for items in people.values())) // 2


def _different_pairs(
    people: dict[str, list[int]], generator: np.random.Generator, wanted: int
) -> list[Pair]:
    groups = [people[name] for name in sorted(people)]
    if _different_available(people) <= 4 * wanted:
        # Nearly all are needed: drawing until they have all turned up would take long.
        every = [(a, b) for one, two in combinations(groups, 2) for a in one for b in two]
        return [every[i] for i in generator.permutation(len(every))[:wanted]]
    drawn: dict[Pair, None] = {}
    while len(drawn) < wanted:
        one, two = sorted(generator.choice(len(groups), 2, replace=False))
        first = groups[one][generator.integers(len(groups[one]))]
        second = groups[two][generator.integers(len(groups[two]))]
        drawn[(first, second)] = None
    return list(drawn)
