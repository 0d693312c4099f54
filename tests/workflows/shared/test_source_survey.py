"""What of a collection has been read before, and that it is listed once a command."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets.sources import discovery
from datasets.sources.layouts import Source
from workflows.shared.source_survey import again, compare, find, fingerprint, forget_listings


@dataclass(frozen=True)
class Outcome:
    name: str
    fingerprint: str
    reason: str = ""


def source(name: str, stamp: str = "1") -> Source:
    return Source(f"file:///films/{name}", name, "a", "video", stamp=stamp)


def outcome(film: Source, reason: str = "") -> Outcome:
    return Outcome(film.name, fingerprint("stage", film), reason)


FILMS = [source(name) for name in "abcd"]


def test_what_is_new_replaced_and_gone() -> None:
    known = [
        outcome(source("a")),
        outcome(source("b", "0")),
        outcome(source("c")),
        outcome(source("x")),
    ]
    reading = compare(FILMS, known, "stage")
    assert [film.name for film in reading.left] == ["b", "d"]
    assert sorted(kept.name for kept in reading.kept) == ["a", "c"]
    said = "of its sources 1 added, 1 replaced, 1 removed, 2 kept as they are"
    assert reading.changes == said
    assert compare(FILMS, [outcome(film) for film in FILMS], "stage").changes == ""
    assert len(compare(FILMS, known, "another stage").left) == 4


def test_what_is_only_not_chosen_is_not_gone() -> None:
    known = [outcome(film) for film in FILMS]
    assert compare(FILMS[:2], known, "stage", names=frozenset("abcd")).changes == ""


def test_errors_are_tried_again_where_that_is_wanted() -> None:
    known = [outcome(FILMS[0], "damaged"), *(outcome(film) for film in FILMS[1:])]
    assert compare(FILMS, known, "stage").left == []
    again = compare(FILMS, known, "stage", retry=True)
    assert [film.name for film in again.left] == ["a"]
    assert again.changes == (
        "of its sources 0 added, 0 replaced, 0 removed, 1 tried again, 3 kept as they are"
    )


def test_of_a_complete_stage_the_errors_are_tried_again_and_nothing_else() -> None:
    """Whatever was added, replaced or removed."""
    known = [outcome(source("a"), "damaged"), outcome(source("b", "0")), outcome(source("x"))]
    reading = again(FILMS, known)
    assert [film.name for film in reading.left] == ["a"]
    assert sorted(kept.name for kept in reading.kept) == ["b", "x"]
    assert again(FILMS, known[1:]).changes == ""


def test_of_several_outcomes_that_of_the_present_files_counts_and_then_the_good_one() -> None:
    film = FILMS[0]
    old, failed, good = outcome(source("a", "0")), outcome(film, "damaged"), outcome(film)
    for known in ([old, failed, good], [good, failed, old], [failed, good]):
        assert compare([film], known, "stage").kept == [good]


def test_a_collection_is_listed_once_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings: list[str] = []
    listed = discovery._list_files
    monkeypatch.setattr(
        discovery, "_list_files", lambda root, alone: listings.append(root) or listed(root, alone)
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.mp4").write_bytes(b"1")
    monkeypatch.chdir(tmp_path.parent)
    forget_listings()
    for root in (str(tmp_path), tmp_path.name, f"{tmp_path}"):
        assert len(find(root).sources) == 1
    assert len(listings) == 1
    (tmp_path / "a/2.mp4").write_bytes(b"2")
    forget_listings()
    assert len(find(str(tmp_path)).sources) == 2


def test_a_stamp_changes_with_size_time_and_the_frames_of_a_film(tmp_path: Path) -> None:
    for name in ("film.mp4", "frames/1.png", "frames/2.png"):
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_bytes(name.encode())

    def stamps() -> dict[str, str]:
        forget_listings()
        return {film.name: film.stamp for film in find(str(tmp_path)).sources}

    first = stamps()
    assert first == stamps() and len(set(first.values())) == 2
    os.utime(tmp_path / "a/film.mp4", (1, 1))
    second = stamps()
    assert [name for name in first if first[name] != second[name]] == ["a/film.mp4"]
    (tmp_path / "a/frames/3.png").write_bytes(b"3")
    third = stamps()
    assert [name for name in second if second[name] != third[name]] == ["a/frames"]
