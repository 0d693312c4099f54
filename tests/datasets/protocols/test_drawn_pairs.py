"""Verification pairs drawn for a collection without a protocol."""

import numpy as np
import pytest

from datasets.protocols.drawn_pairs import draw_pairs


def collection(clips: dict[str, dict[str, list[int]]]) -> tuple[list[str], list[str], list[int]]:
    rows = [
        (person, f"{person}/{video}", frame)
        for person, videos in clips.items()
        for video, frames in videos.items()
        for frame in frames
    ]
    identities, videos, frames = zip(*rows, strict=True)
    return list(identities), list(videos), list(frames)


MIXED = collection(
    {
        "ann": {"a.mp4": [12, 40, 80], "b.mp4": [12, 60]},
        "bob": {"a.mp4": [12, 30, 60, 100, 140]},
        "cat": {"a.mp4": [12]},
        "dan": {"a.mp4": [12, 14, 16]},
    }
)


def test_pairs_are_balanced_distinct_and_what_they_say() -> None:
    identities, videos, frames = MIXED
    drawn = draw_pairs(*MIXED, seed=0, count=16)
    assert len(drawn.pairs) == len(drawn.same) == 16
    assert sum(drawn.same) == drawn.different == 8
    assert len({frozenset(pair) for pair in drawn.pairs}) == 16
    across = within = 0
    for (first, second), same in zip(drawn.pairs, drawn.same, strict=True):
        assert (identities[first] == identities[second]) == same
        if same and videos[first] != videos[second]:
            across += 1
        elif same:
            within += 1
            assert identities[first] == "bob"
            early, late = sorted((frames[first], frames[second]))
            assert early < 76 <= late
            assert late - early >= 25
    assert (across, within) == (drawn.same_across_videos, drawn.same_within_video)
    assert across and within


def test_both_halves_shrink_to_the_same_pairs_there_are() -> None:
    """Ann has 3·2 pairs across videos; bob's halves {12, 30, 60} and {100, 140} 3·2 more."""
    drawn = draw_pairs(*MIXED, seed=0, count=1000)
    assert (drawn.same_across_videos, drawn.same_within_video, drawn.different) == (6, 6, 12)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_items() -> None:
    drawn = draw_pairs(*MIXED, seed=5, count=12)
    assert drawn == draw_pairs(*MIXED, seed=5, count=12)
    assert drawn != draw_pairs(*MIXED, seed=6, count=12)
    order = np.random.default_rng(0).permutation(len(MIXED[0]))
    shuffled = draw_pairs(*([column[i] for i in order] for column in MIXED), seed=5, count=12)
    assert [(order[a], order[b]) for a, b in shuffled.pairs] == drawn.pairs


def test_nobody_dominates() -> None:
    """One person with 2 × 200 clips and nine with 2 × 2: each gives a tenth of the same pairs."""
    many = {"big": {"a": list(range(0, 6000, 30)), "b": list(range(0, 6000, 30))}}
    few = {f"p{i}": {"a": [12, 50], "b": [12, 50]} for i in range(9)}
    rows = collection(many | few)
    drawn = draw_pairs(*rows, seed=0, count=60)
    people = [rows[0][a] for (a, _), same in zip(drawn.pairs, drawn.same, strict=True) if same]
    assert {person: people.count(person) for person in people} == dict.fromkeys(many | few, 3)


@pytest.mark.parametrize(
    ("clips", "reason"),
    [
        ({"ann": {"a": [0, 100], "b": [0]}}, "one person gives no pair of two people"),
        ({"ann": {"a": [0]}, "bob": {"a": [0, 24]}}, "no two clips are 25 frames apart"),
    ],
)
def test_no_pair_at_all_is_an_error(clips: dict[str, dict[str, list[int]]], reason: str) -> None:
    with pytest.raises(ValueError, match="no verification pair"):
        draw_pairs(*collection(clips), seed=0, count=10)
    assert reason


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        draw_pairs(["a"], ["v", "w"], [1], seed=0, count=4)
    with pytest.raises(ValueError, match="count"):
        draw_pairs(*MIXED, seed=0, count=1)
