"""Low frames handed to another method, and its faces taken back."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from infra.settings.data import ClipSettings
from workflows.evaluation.exchange import (
    FrameError,
    check_restored,
    export_clips,
    folder_name,
    frame_name,
    read_restored,
)

IDS = ["a/b.mp4#0@12", "../Zoë?/..\\c:d.mp4#1@13"]


@pytest.fixture
def clips() -> dict[str, Any]:
    low = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 8, 3), np.uint8)
    return {
        "clip_id": np.array(IDS),
        "identity": np.array(["a", "Zoë?"]),
        "video": np.array(["a/b.mp4", "c"]),
        "frame": np.array([12, 13]),
        "low": low,
    }


def test_names_are_safe_for_file_systems_and_apart() -> None:
    odd = [*IDS, "a_b.mp4#0@12", "a" * 500, "a" * 499 + "b", "", "con", "a/B.mp4#0@12"]
    names = [folder_name(clip_id) for clip_id in odd]
    assert len({name.lower() for name in names}) == len(odd)
    assert all(name.isascii() and len(name) < 80 and not set(name) & set('/\\:*?"<>|. ')
               for name in names)  # fmt: skip
    assert [frame_name(index, 25) for index in (0, 12)] == ["frame_00.png", "frame_12_central.png"]


def test_exported_frames_are_the_pixels_of_the_shards(
    tmp_path: Path, clips: dict[str, Any]
) -> None:
    assert export_clips(str(tmp_path), clips, ClipSettings(size=32, scale=4)) == 2
    index = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    assert (index["size"], index["scale"]) == (32, 4)
    for row, given in zip(index["clips"], clips["low"], strict=True):
        folder = tmp_path / row["folder"]
        files = sorted(folder.iterdir())
        assert [file.name for file in files] == [frame_name(place, 5) for place in range(5)]
        assert row["central"] == files[2].name
        for file, frame in zip(files, given, strict=True):
            assert np.array_equal(cv2.imread(str(file))[..., ::-1], frame)
    assert [row["clip_id"] for row in index["clips"]] == IDS


def test_a_frame_of_another_format_or_of_gigabytes_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, face = frame_name(2, 5), np.zeros((32, 32, 3), np.uint8)
    tiff = cv2.imencode(".tiff", face)[1].tobytes()
    whole = cv2.imencode(".png", face)[1].tobytes()
    bomb = whole[:16] + (30_000).to_bytes(4, "big") * 2 + whole[24:]
    for name, content in (("tiff", tiff), ("bomb", bomb)):
        (tmp_path / folder_name(name)).mkdir()
        (tmp_path / folder_name(name) / file).write_bytes(content)

    def never(*_: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(FrameError, match="not a readable PNG"):
        read_restored(str(tmp_path), "tiff", 2, 5, 32)
    with pytest.raises(FrameError, match="30000×30000 pixels, expected 32×32"):
        read_restored(str(tmp_path), "bomb", 2, 5, 32)


def test_restored_frames_are_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    ids = ["good", "absent", "small", "broken", "empty"]
    face = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    for name in ids:
        if name != "absent":
            (tmp_path / folder_name(name)).mkdir()
    file = frame_name(2, 5)
    for name, picture in (("good", face), ("small", face[:16])):
        cv2.imwrite(str(tmp_path / folder_name(name) / file), picture[..., ::-1])
    (tmp_path / folder_name("broken") / file).write_bytes(b"no picture")
    (tmp_path / folder_name("empty") / file).write_bytes(b"")
    assert np.array_equal(read_restored(str(tmp_path), "good", 2, 5, 32), face)
    with pytest.raises(FrameError, match=r"frame_01.png: missing"):
        read_restored(str(tmp_path), "good", 1, 5, 32)
    wrong = check_restored(str(tmp_path), ids, 5, 32)
    assert [line.partition(": ")[2] for line in wrong] == [
        "missing", "32×16 pixels, expected 32×32", "not a readable PNG", "not a readable PNG",
    ]  # fmt: skip
    assert wrong[1].startswith(f"{folder_name('small')}/{file}")
