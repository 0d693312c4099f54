"""The published protocols, from files written here and from the real ones where they are."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from datasets.protocols.published import (
    LfwPair,
    LfwPerson,
    YtfPair,
    lfw_image_path,
    read_lfw_pairs,
    read_lfw_people,
    read_protocol,
    read_ytf_splits,
)

PAIRS = "2\t1\nAnn\t1\t4\nAnn\t1\tBob_B\t2\nCat\t2\t3\nCat\t10\tDan\t1\n"
PEOPLE = "2\n2\nAnn\t4\nBob_B\t2\n1\nCat\t10\n"
YTF = "1, 1, Ann/1, Ann/5, 1\r\n1, 2, Ann/1, Bob/0, 0\r\n2, 3, Cat/0, Dan/2, 0"


def written(folder: Path, text: str) -> Path:
    path = folder / "protocol.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_lfw_pairs(tmp_path: Path) -> None:
    assert read_lfw_pairs(written(tmp_path, PAIRS)) == [
        LfwPair(1, "Ann", 1, "Ann", 4, True),
        LfwPair(1, "Ann", 1, "Bob_B", 2, False),
        LfwPair(2, "Cat", 2, "Cat", 3, True),
        LfwPair(2, "Cat", 10, "Dan", 1, False),
    ]
    assert lfw_image_path("Bob_B", 2) == "Bob_B/Bob_B_0002.jpg"


def test_lfw_people(tmp_path: Path) -> None:
    assert read_lfw_people(written(tmp_path, PEOPLE)) == [
        LfwPerson(1, "Ann", 4),
        LfwPerson(1, "Bob_B", 2),
        LfwPerson(2, "Cat", 10),
    ]


@pytest.mark.parametrize("header", ["", "split number, pair number, first, second, is same\n"])
def test_ytf_splits(tmp_path: Path, header: str) -> None:
    assert read_ytf_splits(written(tmp_path, header + YTF)) == [
        YtfPair(1, 1, "Ann/1", "Ann/5", True),
        YtfPair(1, 2, "Ann/1", "Bob/0", False),
        YtfPair(2, 3, "Cat/0", "Dan/2", False),
    ]


def test_a_protocol_is_told_by_its_text(tmp_path: Path) -> None:
    lfw = read_protocol(written(tmp_path, PAIRS))
    assert lfw.items[1] == {"Ann/Ann_0001.jpg", "Ann/Ann_0004.jpg", "Bob_B/Bob_B_0002.jpg"}
    assert (lfw.people(1), lfw.people(2)) == ({"Ann", "Bob_B"}, {"Cat", "Dan"})
    ytf = read_protocol(written(tmp_path, YTF))
    assert ytf.items == {1: {"Ann/1", "Ann/5", "Bob/0"}, 2: {"Cat/0", "Dan/2"}}
    with pytest.raises(ValueError, match="split 3: expected one of 1-2"):
        ytf.people(3)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_lfw_pairs, "", r"protocol.txt:1: expected the number of splits and of pairs"),
        (read_lfw_pairs, "ten\t300\n", r":1: expected the number of splits"),
        (read_lfw_pairs, "1\t1\nAnn\t1\n", r":2: expected a pair of one person.*found 'Ann\\t1'"),
        (read_lfw_pairs, "1\t1\nAnn\t1\tx\n", r":2: expected a pair of one person"),
        (read_lfw_pairs, "1\t1\nAnn\t1\t1\n", r":2: expected a pair of one person"),
        (read_lfw_pairs, "1\t1\nAnn\t1\t2\nAnn\t1\tAnn\t2\n", r":3: expected a pair of two"),
        (read_lfw_pairs, "1\t1\nAnn\t1\t2\n", r":3: expected a pair of two people.*found the end"),
        (read_lfw_pairs, PAIRS + "Eve\t1\t2\n", r":6: expected the end of the file.*'Eve"),
        (read_lfw_people, "1\nAnn\t4\n", r":2: expected the number of people in split 1"),
        (read_lfw_people, "1\n1\nAnn\t0\n", r":3: expected a person"),
        (read_lfw_people, "1\n2\nAnn\t1\n", r":4: expected a person.*found the end"),
        (read_ytf_splits, "", r"protocol.txt: expected rows"),
        (read_ytf_splits, "1, 1, Ann/1, Ann/2\n", r":1: expected `split, pair"),
        (read_ytf_splits, YTF + "\n2, 4, Cat/1, Eve/1, 2", r":4: expected .* same 0 or 1"),
        (read_ytf_splits, "1, 1, Ann/1, Bob/2, 1\n", r":1: expected same = 0, by the names"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, read, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(written(tmp_path, text))


@pytest.fixture
def published() -> Path:
    root = os.environ.get("FACESTACK_FACES")
    if not root:
        pytest.skip("FACESTACK_FACES does not name a folder with protocols/")
    return Path(root) / "protocols"


def test_published_lfw_pairs(published: Path) -> None:
    pairs = read_lfw_pairs(published / "pairs.txt")
    people = {row.person: row for row in read_lfw_people(published / "people.txt")}
    assert Counter((pair.split, pair.same) for pair in pairs) == {
        (split, same): 300 for split in range(1, 11) for same in (True, False)
    }
    assert len(set(pairs)) == 6000
    assert len(people) == 5749
    for pair in pairs:
        for person, image in (
            (pair.first_person, pair.first_image),
            (pair.second_person, pair.second_image),
        ):
            # The splits of pairs are those of the people, so no person is in two splits.
            assert people[person].split == pair.split
            assert image <= people[person].images


def test_published_lfw_images_of_split_one_are_there(published: Path) -> None:
    images = published.parent / "lfw-deepfunneled"
    if not images.is_dir():
        pytest.skip("FACESTACK_FACES holds no lfw-deepfunneled/")
    for pair in read_lfw_pairs(published / "pairs.txt"):
        if pair.split == 1:
            assert (images / lfw_image_path(pair.first_person, pair.first_image)).is_file()
            assert (images / lfw_image_path(pair.second_person, pair.second_image)).is_file()


def test_published_ytf_splits(published: Path) -> None:
    pairs = read_ytf_splits(published / "ytf_splits.txt")
    assert Counter((pair.split, pair.same) for pair in pairs) == {
        (split, same): 250 for split in range(1, 11) for same in (True, False)
    }
    splits = defaultdict(set)
    for pair in pairs:
        for video in (pair.first_video, pair.second_video):
            splits[video.rpartition("/")[0]].add(pair.split)
    assert all(len(found) == 1 for found in splits.values())
