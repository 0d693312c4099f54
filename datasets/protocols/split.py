"""Decides by identity alone what is trained on, so that no person is in two splits.

Caveat: each identity falls by its own hash, so the shares hold for many identities only. Of ten
people the test split may well hold none; the stage that needs it should count and say so, and
another seed deals again.
"""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Literal

from infra.errors import InputError
from infra.text import digest

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class LeakError(InputError):
    """A person is in two splits, or one whom a protocol tests is not only in the test split."""


def split_of(identity: str, seed: int, shares: tuple[float, float, float]) -> Split:
    """Gives the split of `identity`: the same on every machine and in any order of the videos.

    `shares` are the expected parts of train, validation and test. Raises `ValueError` where they
    are negative or do not sum to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares {shares}: must not be negative and must sum to 1")
    # The zero byte cannot be in a name of a folder, so no two pairs give the same text.
    point = int.from_bytes(digest(str(seed), identity)[:8], "big") / 2**64
    if point < shares[0]:
        return "train"
    return "validation" if point < shares[0] + shares[1] else "test"


def check_leaks(people: Mapping[Split, Collection[str]], tested: Collection[str] = ()) -> None:
    """Raises `LeakError` where a person is in two splits of `people`, or one of the `tested`
    people of a protocol is in another split than test."""
    for first, second in combinations(SPLITS, 2):
        _refuse(set(people[first]) & set(people[second]), f"in both {first} and {second}")
    for split in SPLITS[:2]:
        _refuse(set(people[split]) & set(tested), f"in {split}, and tested by the protocol")


def _refuse(leaked: set[str], where: str) -> None:
    if leaked:
        raise LeakError(f"{len(leaked)} people are {where}, such as {min(leaked)!r}")
