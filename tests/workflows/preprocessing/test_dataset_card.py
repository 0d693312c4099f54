"""The card adds up for what clips_of says of real files, and says so where it does not."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from datasets.clips.clip import ClipId
from datasets.clips.windows import Account
from datasets.shards.assembly import assemble_shard, part_rows, plan_shards
from datasets.shards.files import write_clips
from datasets.sources.discovery import find_sources
from datasets.sources.footage import DecodeError
from infra import storage
from infra.errors import RunError
from infra.provenance import commit
from infra.settings.settings import Settings
from tests.support.cutting import cut
from tests.support.media import bright_detector, moving_square, square_frame, write_video
from workflows.enhancement.receipts import from_json as restored_from_json
from workflows.preprocessing.dataset_card import make_card, unbalanced
from workflows.preprocessing.outcomes import Outcome, from_json, outcome_of, to_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[Outcome], list, dict]:
    """A collection with something of everything, put through the room `datasets` without Ray."""
    root = tmp_path_factory.mktemp("card")
    write_video(root / "in/anna/a.mp4", moving_square(61), codec="h264")
    write_video(root / "in/anna/b.mp4", moving_square(45), codec="h264")
    soft = [np.full((72, 96, 3), 90, np.uint8) for _ in range(40)]
    for frame in soft:
        frame[10:60, 10:60] = 205
    write_video(root / "in/bert/flat.mp4", soft, codec="h264")
    write_video(root / "in/bert/short.mp4", moving_square(9))
    write_video(root / "in/carl/nobody.mp4", [np.full((72, 96, 3), 60, np.uint8)] * 40)
    write_video(root / "in/carl/tiny.mp4", [square_frame(20, 20, 14)] * 40)
    (root / "in/dora").mkdir()
    (root / "in/dora/text.mp4").write_text("no video")
    (root / "in/dora/empty.mp4").write_bytes(b"")
    (root / "in/empty too.mp4").write_bytes(b"")

    settings = Settings(source=str(root / "in"), seed=4)
    settings.clip.size, settings.clip.scale = 32, 4
    settings.preprocess.min_sharpness = 1000.0
    outcomes = []
    for number, source in enumerate(find_sources(str(root / "in"))):
        account = Account()
        part = str(root / f"{number}.parquet")
        limit = 1000.0 if "flat" in source.name else 0.0
        try:
            clips = cut(source, bright_detector, seed=4, account=account, min_sharpness=limit)
            write_clips(part, clips)
        except DecodeError as error:
            account.fail(str(error), error.kind)
        outcomes.append(outcome_of(source, "", account, part))

    def place(clip: ClipId) -> tuple[str, str]:
        return "train", PurePosixPath(clip.video).parent.name

    rows = [row for o in outcomes if o.part for row in part_rows(o.part, place)]
    plans = plan_shards(rows, 3 * rows[0].bytes)
    for plan in plans:
        assemble_shard(plan, str(root / "out" / plan.name))
    return settings, outcomes, plans, storage.sizes(str(root / "out"), ".parquet")


def test_accepted_rejected_and_errors_are_all_inputs(made: tuple) -> None:
    card = json.loads(json.dumps(make_card(*made)))
    assert unbalanced(card) == []
    assert card["inputs"] == {
        "found": 9,
        "accepted": 2,
        "rejected": {
            "face under 20 px": 1, "no face": 1, "sharpness under 1000": 1,
            "track shorter than 25 frames": 1,
        },
        "errors": {"not a readable video": 1, "the file is empty": 2},
    }  # fmt: skip
    assert card["tracks"]["found"] == 5
    assert card["tracks"]["accepted"] == 2
    # 61 frames give centres 12, 24, 36, 48; 45 give 12, 24; the two of the flat one are left out.
    assert (card["clips"]["found"], card["clips"]["accepted"]) == (8, 6)
    assert card["clips"]["rejected"] == {"sharpness under 1000": 2}


def test_how_far_faces_move_is_the_root_of_the_mean_over_all_inputs_read_whole(made: tuple) -> None:
    """The square moves by half a pixel a frame; a low pixel of 8 has 1.3·32/8 = 5.2 of them. On a
    grid of whole low pixels its place is x mod 1, so it is never further than 1 away."""
    settings, outcomes, plans, sizes = made
    card = json.loads(json.dumps(make_card(*made)))
    assert set(card["face_motion"]) == {"1", "2", "4", "8", "12"}
    assert all(0 < value <= 1 for value in card["face_motion"].values())
    wrong = replace(outcomes[0], failed=True, moves=[[1e6, 1]] * 5, reason="damaged")
    assert (
        make_card(settings, [*outcomes, wrong], plans, sizes)["face_motion"] == card["face_motion"]
    )
    more = [replace(outcome, moves=[[9.0, 4]] * 2 + [[0.0, 0]] * 3) for outcome in outcomes]
    assert make_card(settings, more, plans, sizes)["face_motion"] == {"1": 1.5, "2": 1.5}


def test_treatments_are_summed_over_all_inputs(made: tuple) -> None:
    settings, outcomes, plans, sizes = made
    treated = [replace(each, treated={"HDR frames": 3, "turned frames": 1}) for each in outcomes]
    card = make_card(settings, treated, plans, sizes)
    count = len(outcomes)
    assert card["treated"] == {"HDR frames": 3 * count, "turned frames": count}


def test_counts_by_split_identity_and_source(made: tuple) -> None:
    card = make_card(*made)
    sizes = made[3]
    assert card["identities"] == {"anna": {"train": 6}}
    assert card["splits"]["train"] == {
        "identities": 1, "clips": 6, "shards": 2, "bytes": sum(sizes.values()),
    }  # fmt: skip
    assert card["splits"]["test"] == {"identities": 0, "clips": 0, "shards": 0, "bytes": 0}
    assert (card["shards"], card["bytes"]) == (2, sum(sizes.values()))
    assert card["bytes"] > 6 * (2 * 32 * 32 * 3)
    assert set(card["sources"]) == {"anna", "bert", "carl", "dora", "empty too.mp4"}
    assert {name: row["clips"] for name, row in card["sources"].items()} == {
        "anna": 6, "bert": 0, "carl": 0, "dora": 0, "empty too.mp4": 0,
    }  # fmt: skip
    assert card["sources"]["dora"]["errors"] == {"not a readable video": 1, "the file is empty": 1}
    assert sum(row["found"] for row in card["sources"].values()) == card["inputs"]["found"]


def test_what_made_it_is_written_down(made: tuple) -> None:
    card = make_card(*made)
    assert (card["schema"], card["seed"], card["source"]) == ("3", 4, made[0].source)
    assert card["clip"]["size"] == 32
    assert {"facestack", "python", "av", "numpy"} <= set(card["versions"])
    assert card["commit"] == commit()
    assert card["degradation"] == {"kind": "paper", "blur_sigma": 1.2}
    other = made[0].model_copy(deep=True)
    other.clip.blur_sigma = None
    assert make_card(other, *made[1:])["degradation"] == {"kind": "bicubic"}
    other.clip.degradation = "realistic"
    assert make_card(other, *made[1:])["degradation"]["crf"] == (18, 30)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("clips", 5, "9 clips found, 6 + 2 + 0"), ("tracks", 2, "6 tracks found, 2 + 3 + 0")],
)
def test_an_account_that_promises_more_than_the_shards_hold(
    made: tuple, field: str, value: int, said: str
) -> None:
    settings, (first, *others), plans, sizes = made
    (wrong,) = unbalanced(
        make_card(settings, [replace(first, **{field: value}), *others], plans, sizes)
    )
    assert wrong.startswith(said)


def test_an_input_whose_clips_are_lost_does_not_add_up(made: tuple) -> None:
    settings, outcomes, plans, sizes = made
    left = [
        replace(plan, rows=tuple(row for row in plan.rows if "b.mp4" not in row.clip_id))
        for plan in plans
    ]
    wrong = unbalanced(make_card(settings, outcomes, left, sizes))
    assert [text.split(",")[0] for text in wrong] == [
        "9 inputs found", "5 tracks found", "8 clips found",
    ]  # fmt: skip


def test_outcomes_come_back_from_json_as_they_were(made: tuple) -> None:
    outcomes = made[1]
    assert from_json(json.loads(json.dumps(to_json(outcomes)))) == outcomes


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.parquet").write_bytes(b"12345")
    (tmp_path / "b/2.json").write_bytes(b"1")
    assert storage.sizes(str(tmp_path), ".parquet") == {"b/1.parquet": 5}
    assert storage.sizes(str(tmp_path / "none")) == {}
    storage.write_bytes("memory://sizes/x/1.parquet", b"123")
    assert Counter(storage.sizes("memory://sizes", ".parquet")) == {"x/1.parquet": 3}


def test_outcomes_of_another_version_are_refused_in_one_line(made: tuple) -> None:
    old = [{key: value for key, value in row.items() if key != "kind"} for row in to_json(made[1])]
    with pytest.raises(RunError, match=r"another version.*--force preprocess"):
        from_json(old)
    with pytest.raises(RunError, match=r"another version.*--force enhance"):
        restored_from_json({"name": "a", "uri": "a", "tracks": [], "reason": ""})
