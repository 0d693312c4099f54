"""Which clips are measured, by the settings; and settings that cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.clips.clip import Clip
from datasets.shards.files import write_clips
from infra.errors import SettingsError
from infra.settings.command_line import load
from infra.settings.settings import Settings
from workflows.evaluation.pairing import NoPairError, choose, keys_of
from workflows.evaluation.stage import check

PAIRS = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nCat\t1\t2\nCat\t1\tDan\t1\n"


@pytest.fixture
def shard(tmp_path: Path) -> str:
    """Both images of Ann, and one of Bob that the protocol does not name."""
    images = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg", "Bob/Bob_0003.jpg"]
    small = np.zeros((8, 8, 3), np.uint8)
    fields: dict[str, Any] = {
        "track": 0, "frame": 0, "fps": 1.0, "low": small[None, :2, :2], "high": small,
        "neighbour": small, "neighbour_offset": 0, "boxes": np.zeros((1, 4), np.float32),
        "motion": np.zeros((1, 64, 2), np.float16), "sharpness": 1.0, "degradation": "",
    }  # fmt: skip
    clips = [
        Clip(clip_id=f"{name}#0@0", identity=name[:3], video=name, order=place, **fields)
        for place, name in enumerate(images)
    ]
    uri = str(tmp_path / "test.parquet")
    write_clips(uri, clips)
    return uri


def settings(tmp_path: Path, **more: Any) -> Settings:
    file = tmp_path / "pairs.txt"
    file.write_text(PAIRS)
    chosen = Settings()
    chosen.evaluate.protocol, chosen.evaluate.protocol_file = "lfw", str(file)
    chosen.evaluate.protocol_split = 1
    for name, value in more.items():
        setattr(chosen.evaluate, name, value)
    return chosen


def test_clips_of_the_held_out_split_are_measured(tmp_path: Path, shard: str) -> None:
    keys, pairing = choose(settings(tmp_path).evaluate, "test", [shard], None, 25, 0)
    assert [key.video for key in keys] == [
        "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0003.jpg"
    ]  # fmt: skip
    assert (pairing.same, pairing.missing) == ([True, False], [])
    assert [key.identity for key in keys_of([shard])] == ["Ann", "Ann", "Bob", "Bob"]


def test_clips_without_the_people_of_a_split_are_refused_with_a_name(
    tmp_path: Path, shard: str
) -> None:
    with pytest.raises(NoPairError, match=r"not one pair.*missing are 3 names, the first Cat_0001"):
        choose(settings(tmp_path, protocol_split=2).evaluate, "test", [shard], None, 25, 0)
    with pytest.raises(NoPairError, match="among the 4 train clips"):
        choose(settings(tmp_path).evaluate, "train", [shard], None, 25, 0)


def test_without_a_protocol_the_first_clips_are_measured(tmp_path: Path, shard: str) -> None:
    keys, pairing = choose(Settings().evaluate, "test", [shard], 3, 25, 0)
    assert [key.video for key in keys] == [
        "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg"
    ]  # fmt: skip
    assert pairing.counts == {"same_across_videos": 1, "same_within_video": 0, "different": 1}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"protocol_split": 3}, r"protocol_split: .*pairs.txt has the splits 1 to 2, not 3"),
        ({"protocol_file": "/no/such.txt"}, r"protocol_file: .*no/such.txt"),
        ({"protocol": "ytf"}, r"protocol_file: .*pairs.txt:2: expected `split, pair"),
        ({"judge": "/no/such.onnx"}, r"judge: .*no/such.onnx"),
        ({"external": {"f1": "."}}, r"external: 'f1' cannot name a row"),
        ({"external": {"a/b": "."}}, r"external: 'a/b' cannot name a row"),
        ({"external": {"mine": "/no/such"}}, r"external mine: /no/such: no such folder"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_work(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    check(settings(tmp_path))
    with pytest.raises(SettingsError, match=said):
        check(settings(tmp_path, **more))


def test_the_protocol_of_preprocess_serves_where_no_other_is_named(tmp_path: Path) -> None:
    chosen = settings(tmp_path, protocol_file=None, protocol_split=None)
    with pytest.raises(SettingsError, match=r"protocol lfw needs its published file"):
        check(chosen)
    chosen.preprocess.protocol = str(tmp_path / "pairs.txt")
    check(chosen)
    chosen.preprocess.protocol_split = 5
    with pytest.raises(SettingsError, match="has the splits 1 to 2, not 5"):
        check(chosen)


def test_the_command_line_spells_methods_and_protocols() -> None:
    chosen = load(
        ["--evaluate.external", "one=s3://b/a=b", "--evaluate.external", "two=/x",
         "--evaluate.judge-mean", "1,2,3", "--evaluate.splits", "train,test"],
        "evaluate.py", "",
    ).evaluate  # fmt: skip
    assert chosen.external == {"one": "s3://b/a=b", "two": "/x"}
    assert (chosen.judge_mean, chosen.splits) == ([1, 2, 3], ["train", "test"])
    with pytest.raises(SettingsError, match="splits must hold test"):
        load(["--evaluate.splits", "train"], "evaluate.py", "")
