"""`preprocess.py inspect` on a small run folder made by hand, local and in another file system."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.clips.clip import Clip
from datasets.shards.files import write_clips
from infra import storage
from infra.errors import RunError
from workflows.preprocessing.inspect_run import (
    contact_sheet,
    describe,
    main,
    random_clips,
    read_card,
)
from workflows.shared.figures import figure_png


def clip(number: int, person: str, frames: int = 5, colour: int = 0) -> Clip:
    ramp = np.linspace(60, 200, 32).astype(np.uint8)
    high = np.repeat(np.repeat(ramp[None, :, None], 32, 0), 3, 2)
    high[:, :, 0] = colour
    return Clip(
        clip_id=f"{person}/v.mp4#0@{number}", identity=person, video=f"{person}/v.mp4", track=0,
        frame=number, fps=25.0, low=high[None, 2::4, 2::4].repeat(frames, 0), high=high,
        neighbour=high, neighbour_offset=1, boxes=np.zeros((frames, 4), np.float32), order=number,
        motion=np.zeros((frames, 64, 2), np.float16), sharpness=11.5,
        degradation=json.dumps({"kind": "paper", "blur_sigma": 2.4}),
    )  # fmt: skip


def card(clips: int) -> dict:
    nothing = {"rejected": {}, "errors": {}}
    split = {"identities": 1, "clips": clips, "shards": 2, "bytes": 3 * 2**20}
    return {
        "schema": "3", "commit": None, "versions": {"facestack": "0.1.0"}, "source": "s3://b/in",
        "seed": 7, "degradation": {"kind": "realistic", "crf": [18, 30]}, "frames": 12345,
        "face_motion": {"1": 0.212, "12": 0.38},
        "inputs": {
            "found": 3, "accepted": 1, "rejected": {"no face": 1},
            "errors": {"the file is empty": 1},
        },
        "tracks": {"found": 1, "accepted": 1, **nothing},
        "clips": {"found": clips, "accepted": clips, **nothing},
        "splits": {"train": split}, "shards": 2, "bytes": 3 * 2**20,
        "identities": {"anna": {"train": clips}}, "sources": {"anna": {"clips": clips}},
    }  # fmt: skip


def write_run(root: str) -> None:
    for number in range(2):
        clips = [clip(10 * number + i, "anna\n $x_1$ 😀") for i in range(6)]
        write_clips(f"{root}/clips/train/0000{number}.parquet", clips)
    write_clips(f"{root}/clips/test/00000.parquet", [clip(50, "bert"), clip(51, "bert")])
    storage.write_json(f"{root}/clips/dataset.json", card(14))


def test_it_prints_the_card_and_writes_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(str(tmp_path / "run"))
    assert main([str(tmp_path / "run"), "--clips", "5"]) == 0
    said = capsys.readouterr().out
    assert "3 found = 1 accepted + 1 rejected + 1 errors" in said
    for text in ("s3://b/in", "commit none", "seed 7", "crf 18–30", "12,345", "no face",
                 "0.212 at 1, 0.38 at 12 frames from the centre",
                 "the file is empty", "nothing lost", "contact sheet of 5 clips"):  # fmt: skip
        assert text in said
    sheet = np.asarray(Image.open(tmp_path / "run/clips/contact_sheet.png").convert("RGB"))
    assert sheet.shape[0] > 300
    # The red channel of every drawn face is 0, and of nothing else on the white sheet.
    faces = (sheet[:, :, 0] < 8) & (sheet[:, :, 1] > 50)
    assert faces.mean() > 0.2


def test_a_run_in_another_file_system_and_a_sheet_elsewhere(tmp_path: Path) -> None:
    write_run("memory://inspected/run")
    assert main(["memory://inspected/run", "--out", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert not storage.exists("memory://inspected/run/clips/contact_sheet.png")


def test_clips_are_drawn_from_all_splits_and_shards_without_repeats(tmp_path: Path) -> None:
    write_run(str(tmp_path))
    drawn = random_clips(str(tmp_path), 6, seed=1)
    ids = [found["clip_id"] for found in drawn]
    assert len(ids) == len(set(ids)) == 5  # the test split has but two of the three wanted
    assert [found["split"] for found in drawn] == ["train"] * 3 + ["test"] * 2
    seen = {
        name
        for seed in range(30)
        for found in random_clips(str(tmp_path), 6, seed)
        for name in [found["clip_id"]]
    }
    assert len(seen) == 14
    again = random_clips(str(tmp_path), 6, seed=1)
    assert [found["clip_id"] for found in again] == ids
    np.testing.assert_array_equal(drawn[0]["low"][0], drawn[0]["high"][2::4, 2::4])


@pytest.mark.parametrize(("count", "frames"), [(1, 1), (16, 25)])
def test_a_sheet_of_any_number_of_clips_and_frames(count: int, frames: int) -> None:
    samples = [{**vars(clip(i, "anna", frames)), "split": "train"} for i in range(count)]
    with Image.open(io.BytesIO(figure_png(contact_sheet(samples), 100))) as sheet:
        assert sheet.size[0] > 900 * (1 + (count > 8))


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_a_wrong_run_is_one_line_and_status_2(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        storage.write_bytes(str(tmp_path / "clips/dataset.json"), content)
    assert main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "clips/dataset.json" in captured.err


def test_a_run_without_shards_and_a_damaged_one_are_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(str(tmp_path))
    (tmp_path / "clips/test/00000.parquet").write_text("text")
    assert main([str(tmp_path)]) == 2
    assert "00000.parquet: not a readable Parquet" in capsys.readouterr().err
    storage.remove(str(tmp_path / "clips/train"))
    storage.remove(str(tmp_path / "clips/test"))
    with pytest.raises(RunError, match="no shard"):
        random_clips(str(tmp_path), 3, 0)


def test_names_stay_in_their_line() -> None:
    odd = card(4)
    odd["sources"] = {"a\nb\x1b[31m": {"clips": 4}, "x" * 500: {"clips": 1}}
    lines = describe(odd).splitlines()
    assert any(line.endswith("a\\nb\\x1b[31m") for line in lines)
    assert max(map(len, lines)) < 200


def test_what_does_not_add_up_is_said() -> None:
    wrong = card(4)
    wrong["clips"]["found"] = 5
    assert "5 clips found, 4 + 0 + 0" in describe(wrong)


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "clips/dataset.json"), card(4))
    assert read_card(str(tmp_path)) == card(4)
