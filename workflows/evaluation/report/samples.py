"""Which test clips the report shows, and their pictures by every method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.shards.reader import ShardReader
from workflows.evaluation.measured import MEASURES, Measured
from workflows.evaluation.methods import Arrays, Restore
from workflows.shared.restoring import to_bytes

FALLING = ("l2_pool3", "l2_pool4", "l2_fc7", "temporal")  # less is better; of all others, more
EXTREMES = 5


@dataclass(frozen=True)
class Sample:
    """A test clip: the central low frame h×w×3, the faces S×S×3 by every method that has one, all
    uint8 RGB, and the measures of each face."""

    clip_id: str
    low: NDArray[np.uint8]
    faces: dict[str, NDArray[np.uint8]]
    values: dict[str, dict[str, float]]


def stored_clips(shards: list[str], wanted: Sequence[str], columns: Sequence[str]) -> Arrays:
    """The clips of the ids `wanted`, in their order, as arrays."""
    place = {clip_id: index for index, clip_id in enumerate(wanted)}
    parts: list[Arrays] = []
    for batch in ShardReader(shards, 64, None, tuple(columns), prefetch=0).once():
        inside = np.array([str(clip_id) in place for clip_id in batch["clip_id"]])
        if inside.any():
            parts.append({name: values[inside] for name, values in batch.items()})
    found = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    order = np.argsort([place[str(clip_id)] for clip_id in found["clip_id"]])
    return {name: values[order] for name, values in found.items()}


def drawn_clips(identities: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` clips drawn by the seed: of different people as far as there are."""
    order = np.random.default_rng(seed).permutation(len(identities))
    seen: set[str] = set()
    firsts: list[int] = []
    others: list[int] = []
    for index in order.tolist():
        (others if identities[index] in seen else firsts).append(index)
        seen.add(identities[index])
    return (firsts + others)[:count]


def extreme_clips(
    values: NDArray[np.float64], identities: Sequence[str], measure: str
) -> tuple[list[int], list[int]]:
    """The best five and the worst five clips by a measure (N values), best and worst first.

    Clips of one film are much alike, so where there are ten people each gives one clip; where there
    are fewer than ten clips, none is in both.
    """
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")].tolist()
    if measure not in FALLING:
        order.reverse()
    best, worst = order, order[::-1]
    if len({identities[index] for index in order}) >= 2 * EXTREMES:
        best, worst = _one_each(best, identities), _one_each(worst, identities)
    count = min(EXTREMES, len(order) // 2)
    return best[:count], worst[:count]


def _one_each(order: Sequence[int], identities: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    for index in order:
        first.setdefault(identities[index], index)
    return list(first.values())


def make_samples(
    restorers: Mapping[str, Restore],
    shards: list[str],
    measured: Measured,
    clips: Sequence[int],
) -> dict[int, Sample]:
    """The pictures, by each of the `restorers`, of the clips of these indices in `measured`."""
    unique = sorted(set(clips))
    ids = [measured.clip_ids[index] for index in unique]
    stored = stored_clips(shards, ids, ("clip_id", "low", "high", "neighbour"))
    still = np.zeros(len(ids), int)
    images = {name: restore(stored, still) for name, restore in restorers.items()}
    there = {name: ~given.flatten(1).isnan().any(dim=1) for name, given in images.items()}
    pixels = {name: to_bytes(given.nan_to_num()) for name, given in images.items()}
    return {
        index: Sample(
            clip_id=ids[place],
            low=stored["low"][place, stored["low"].shape[1] // 2],
            faces={name: faces[place] for name, faces in pixels.items() if there[name][place]},
            values={name: _values(measured.values[index, row]) for row, name in enumerate(images)},
        )
        for place, index in enumerate(unique)
    }


def _values(measures: NDArray[Any]) -> dict[str, float]:
    return dict(zip(MEASURES, map(float, measures), strict=True))
