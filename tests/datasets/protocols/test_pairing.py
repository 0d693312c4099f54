"""From the pairs of a protocol and the clips of a collection to pairs of items."""

from pathlib import Path

import pytest

from datasets.clips.clip import other_person
from datasets.protocols.pairing import (
    Key,
    NamedPair,
    drawn_pairing,
    lfw_items,
    lfw_names,
    named_pairing,
    ytf_items,
    ytf_names,
)
from datasets.protocols.published import LfwPair, YtfPair, lfw_image_path, read_lfw_pairs


def key(video: str, frame: int = 12, track: int = 0) -> Key:
    return Key(f"{video}#{track}@{frame}", video.split("/")[0], video, track, frame)


def test_names_of_both_protocols() -> None:
    assert lfw_names([LfwPair(1, "Bob_B", 2, "Ann", 11, False)]) == [
        NamedPair("Bob_B_0002", "Ann_0011", False)
    ]
    assert ytf_names([YtfPair(1, 1, "Ann/1", "Ann/5", True)]) == [NamedPair("Ann/1", "Ann/5", True)]


def test_an_image_is_found_by_its_file_wherever_the_collection_lies() -> None:
    keys = [key("a/b/Bob_B/Bob_B_0002.jpg", 12), key("a/b/Bob_B/Bob_B_0002.jpg", 24),
            key("Ann_Jr.x/Ann_Jr.x_0001")]  # fmt: skip
    assert lfw_items(keys) == {
        "Bob_B_0002": [keys[0].clip_id, keys[1].clip_id],
        "Ann_Jr.x_0001": [keys[2].clip_id],
    }


def test_a_video_is_its_longest_track_and_its_first_frames() -> None:
    """Radius 2: the track of centres 10, 12, … begins at frame 8; of its first 7 frames, 8 to 14,
    the centres are 10, 12 and 14."""
    keys = [key("db/Ann/1", 3, 0)] + [key("db/Ann/1", frame, 4) for frame in range(10, 20, 2)]
    assert ytf_items(keys, track_frames=7, radius=2) == {
        "Ann/1": [k.clip_id for k in keys if k.frame in (10, 12, 14)]
    }


def test_who_is_seen_beside_a_person_is_no_item_of_a_protocol() -> None:
    still, film = "A/A_0001.jpg", "db/Ann/1"
    beside = Key(f"{still}#1@0", other_person(still, 1), still, 1, 0)
    assert lfw_items([key(still, 0), beside]) == {"A_0001": [f"{still}#0@0"]}
    other = [Key(f"{film}#1@{i}", other_person(film, 1), film, 1, i) for i in range(9)]
    own = [key(film, i) for i in range(3)]
    assert ytf_items([*other, *own], 9, 2) == {"Ann/1": [k.clip_id for k in own]}


def test_missing_items_are_named_and_their_pairs_left_out() -> None:
    pairs = [NamedPair("a", "b", True), NamedPair("a", "z", True), NamedPair("b", "c", False),
             NamedPair("y", "z", False)]  # fmt: skip
    found = named_pairing(pairs, {"a": ["a1", "a2"], "b": ["b1"], "c": ["c1"], "d": ["d1"]}, 9, 0)
    assert found.missing == ["y", "z"]
    assert (found.pairs, found.same) == ([(0, 1), (1, 2)], [True, False])
    assert found.members == {"a1": 0, "a2": 0, "b1": 1, "c1": 2}
    assert found.items == 3
    assert found.counts["same_across_videos"] == found.counts["different"] == 1
    assert found.counts["incomplete"] == 2


def test_fewer_pairs_than_there_are_come_from_the_seed() -> None:
    pairs = [NamedPair("a", f"b{i}", i % 2 == 0) for i in range(40)]
    items = {"a": ["a"]} | {f"b{i}": [f"b{i}"] for i in range(40)}
    found = [named_pairing(pairs, items, 5, seed) for seed in (1, 1, 2)]
    assert sum(found[0].same) == 5 and len(found[0].pairs) == 10
    assert found[0] == found[1]
    assert found[0].members.keys() != found[2].members.keys()


def test_drawn_pairs_join_single_clips() -> None:
    keys = [key(f"{person}/{video}", frame) for person in ("ann", "bob") for video in (0, 1)
            for frame in (12, 40)]  # fmt: skip
    found = drawn_pairing(keys, 4, seed=0)
    clips = {place: clip for clip, place in found.members.items()}
    for (first, second), same in zip(found.pairs, found.same, strict=True):
        assert (clips[first][:3] == clips[second][:3]) == same
    assert found.counts == {"same_across_videos": 4, "same_within_video": 0, "different": 4}
    alone = drawn_pairing(keys[:1], 4, seed=0)
    assert (alone.pairs, alone.items, alone.counts["different"]) == ([], 0, 0)


@pytest.mark.parametrize("held_out", [1, 7])
def test_published_lfw_split_gives_300_and_300(faces: Path, held_out: int) -> None:
    """Balanced, and no image of the held-out split is in a pair of the others."""
    every = read_lfw_pairs(faces / "protocols/pairs.txt")
    test = lfw_names(pair for pair in every if pair.split == held_out)
    rest = lfw_names(pair for pair in every if pair.split != held_out)
    images = [
        lfw_image_path(person, image) for pair in every
        for person, image in ((pair.first_person, pair.first_image),
                              (pair.second_person, pair.second_image))
    ]  # fmt: skip
    items = lfw_items(key(image) for image in dict.fromkeys(images))
    found = [named_pairing(pairs, items, 300, 0) for pairs in (test, rest)]
    for pairing in found:
        assert not pairing.missing
        assert (sum(pairing.same), len(pairing.same)) == (300, 600)
        assert pairing.counts["incomplete"] == 0
    people = [{clip.split("/")[0] for clip in pairing.members} for pairing in found]
    assert not people[0] & people[1]
