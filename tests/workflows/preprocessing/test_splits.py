"""Who goes where, and what the stage says of a protocol; leaks are caused and must be found."""

import json
from pathlib import Path

import pytest

from datasets.shards.files import write_clips
from datasets.sources.layouts import Source
from infra.errors import RunError, SettingsError
from infra.runs import Stage
from infra.settings.settings import Settings
from tests.datasets.shards.test_files import clip
from workflows.preprocessing import stage
from workflows.preprocessing.splits import check, dealer, name_missing, protocol_of, refuse_leaks

PAIRS = "2\t1\nAnn\t1\t4\nAnn\t1\tBob\t2\nCat\t2\t3\nCat\t10\tDan\t1\n"
YTF = "1, 1, Ann/1, Ann/5, 1\n1, 2, Ann/1, Bob/0, 0\n2, 3, Cat/0, Dan/2, 0\n"


def settings(folder: Path, text: str = PAIRS, split: int = 1) -> Settings:
    (folder / "protocol.txt").write_text(text)
    options = {"protocol": str(folder / "protocol.txt"), "protocol_split": split}
    return Settings.model_validate({"preprocess": options})


def still(name: str) -> Source:
    return Source(f"file:///x/{name}", name, name.split("/")[-2], "image")


@pytest.mark.parametrize("text", [PAIRS, YTF])
@pytest.mark.parametrize(("split", "tested"), [(1, {"Ann", "Bob"}), (2, {"Cat", "Dan"})])
def test_the_tested_people_and_nobody_else_are_the_test_split(
    tmp_path: Path, text: str, split: int, tested: set[str]
) -> None:
    chosen = settings(tmp_path, text, split)
    deal = dealer(chosen, protocol_of(chosen))
    people = {"Ann", "Bob", "Cat", "Dan", *(f"person {i}" for i in range(2000))}
    assert {person for person in people if deal(person) == "test"} == tested
    train = sum(deal(person) == "train" for person in people)
    assert train / 2000 == pytest.approx(0.7 / 0.85, abs=0.03)


def test_without_a_protocol_three_splits_are_dealt() -> None:
    deal = dealer(Settings(), None)
    assert {deal(f"person {i}") for i in range(100)} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("ten\n", 1, r"protocol\.txt:1: expected the number of splits"),
        (PAIRS, 3, "preprocess.protocol: split 3: expected one of 1-2"),
    ],
)
def test_bad_protocols_are_refused(tmp_path: Path, text: str, split: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        protocol_of(settings(tmp_path, text, split))


def test_a_protocol_of_another_collection_is_refused(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    check(chosen, [still("Ann/Ann_0001.jpg"), still("Eve/Eve_0001.jpg")])
    with pytest.raises(SettingsError, match="nobody of the 2 people of split 1, such as Ann"):
        check(chosen, [still("Eve/Eve_0001.jpg")])
    (tmp_path / "protocol.txt").unlink()
    with pytest.raises(SettingsError, match="no such file"):
        check(chosen, [still("Ann/Ann_0001.jpg")])


def test_missing_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = settings(tmp_path)
    protocol = protocol_of(chosen)
    assert protocol is not None
    there = [still("lfw/Ann/Ann_0001.jpg"), still("lfw/Cat/Cat_0002.jpg")]
    counts = name_missing(chosen, Stage("preprocess", str(tmp_path), ""), protocol, there)
    assert counts == {
        "split": 1, "people": 2, "named": 3, "missing": 2, "missing_in_other_splits": 3,
    }  # fmt: skip
    assert json.loads((tmp_path / "protocol.json").read_text())["missing"] == {
        "1": ["Ann/Ann_0004.jpg", "Bob/Bob_0002.jpg"],
        "2": ["Cat/Cat_0003.jpg", "Cat/Cat_0010.jpg", "Dan/Dan_0001.jpg"],
    }
    assert "split 1, the tested one: 2 missing, such as Ann/Ann_0004.jpg" in capsys.readouterr().out


def test_videos_of_a_protocol_are_found_by_person_and_number(tmp_path: Path) -> None:
    chosen = settings(tmp_path, YTF)
    protocol = protocol_of(chosen)
    assert protocol is not None
    there = [Source("u", f"aligned_images_DB/{name}", "x", "crops") for name in ("Ann/1", "Ann/5")]
    counts = name_missing(chosen, Stage("preprocess", str(tmp_path), ""), protocol, there)
    assert (counts["missing"], counts["missing_in_other_splits"]) == (1, 2)


def shards(folder: Path, **people: list[str]) -> str:
    for split, names in people.items():
        clips = [clip(i, f"{name}/v") for i, name in enumerate(names)]
        write_clips(str(folder / split / "00000.parquet"), clips)
    return str(folder)


def test_people_are_counted_where_nobody_leaks(tmp_path: Path) -> None:
    folder = shards(tmp_path, train=["Eve", "Eve", "Fay"], test=["Ann", "Bob"])
    chosen = settings(tmp_path)
    found = refuse_leaks(folder, chosen, protocol_of(chosen))
    assert found == {"train": 2, "validation": 0, "test": 2}


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ({"train": ["Eve"], "test": ["Ann", "Eve"]}, "1 people are in both train and test, .*Eve"),
        ({"validation": ["Eve"], "train": ["Eve"]}, "in both train and validation"),
        ({"train": ["Ann"], "test": ["Bob"]}, "Ann"),
        ({"validation": ["Ann"]}, "in validation, and tested by the protocol"),
    ],
)
def test_a_leak_ends_the_stage(tmp_path: Path, people: dict[str, list[str]], message: str) -> None:
    folder = shards(tmp_path, **people)
    chosen = settings(tmp_path)
    with pytest.raises(RunError, match=message):
        refuse_leaks(folder, chosen, protocol_of(chosen))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "lfw"}, "the source holds stills only; give --preprocess.bursts"),
        ({"layout": "videos"}, "but no video"),
    ],
)
def test_stills_that_can_give_no_clip_are_refused_before(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "Ann_0001.jpg").write_bytes(b"x")
    wanted = {"source": str(tmp_path), "preprocess": options}
    with pytest.raises(SettingsError, match=message):
        stage.check(Settings.model_validate(wanted))


def test_published_layouts_need_a_source() -> None:
    with pytest.raises(SettingsError, match="give it with --source"):
        stage.check(Settings.model_validate({"preprocess": {"layout": "lfw"}}))
