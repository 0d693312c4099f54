"""Every broken input is found as an error row with its reason; what is good goes through."""

import json
import os
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets.drawn.dataset import write_person
from datasets.video_writer import write_video
from tests.integration.conftest import run
from tests.support.media import write_matroska_bomb
from workflows.preprocessing.dataset_card import unbalanced

GOOD = 'Zoë O\'Brien & son/erste "Aufnahme"\n..🙂.mp4'


def pictures(count: int, size: int = 160) -> list[np.ndarray]:
    """Frames without a face: a grid that drifts over a grey field."""
    frames = []
    for index in range(count):
        frame = np.full((size, size, 3), 90, np.uint8)
        frame[:, index % 16 :: 16] = 140
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("collection")
    drawn = [write_person(root / "drawn", person, 1, 33, size=160)[0] for person in (0, 2)]
    for number, video in enumerate(drawn):
        (root / f"person_{number}").mkdir()
        shutil.copy(video, root / f"person_{number}" / "good.mp4")
    (root / GOOD).parent.mkdir()
    shutil.copy(drawn[0], root / GOOD)
    shutil.rmtree(root / "drawn")

    broken = root / "broken"
    broken.mkdir()
    (broken / "empty.mp4").write_bytes(b"")
    (broken / "text.mp4").write_text("this is no video\n" * 50)
    whole = (root / "person_0/good.mp4").read_bytes()
    (broken / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(broken / "one frame.mp4", pictures(1), Fraction(25), 20)
    write_video(broken / "no face.mp4", pictures(40), Fraction(25), 20)
    write_video(broken / "long.mp4", pictures(130), Fraction(25), 20)
    write_video(broken / "large.mp4", pictures(2, 400), Fraction(25), 20)
    write_matroska_bomb(broken / "memory.mkv", 100)
    shutil.copy(root / "person_0/good.mp4", os.fsencode(broken) + b"/not \xff text.mp4")
    sizes = broken / "differing sizes"
    sizes.mkdir()
    for number, size in enumerate([64] * 20 + [80] * 20):
        cv2.imwrite(str(sizes / f"{number:04d}.png"), pictures(1, size)[0])
    return root


def test_each_is_accounted_for(collection: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = run(
        "preprocess.py", "--source", collection, "--run", folder, "--preprocess.faces", "detect",
        "--preprocess.detector", "haar",
        "--clip.size", 32, "--preprocess.min-face", 40, "--preprocess.max-pixels", 300 * 300,
        "--preprocess.max-seconds", 5, "--preprocess.max-memory", 400,
    )  # fmt: skip
    # Ten of thirteen inputs are bad, far more than the share allowed.
    assert ended.status == 1
    rows = pq.read_table(folder / "clips/errors.parquet").to_pylist()
    errors = {row["source"].rsplit("/", 1)[-1]: row["reason"] for row in rows}
    kinds = Counter(row["kind"] for row in rows)
    assert set(errors) == {
        "empty.mp4", "text.mp4", "truncated.mp4", "one frame.mp4", "no face.mp4",
        "differing sizes", "long.mp4", "large.mp4", "memory.mkv",
        r"not \udcff text.mp4",
    }  # fmt: skip
    assert "empty" in errors["empty.mp4"]
    assert "no face" in errors["no face.mp4"]
    assert "1 frame" in errors["one frame.mp4"]
    assert "0020.png" in errors["differing sizes"]
    assert "raise max_seconds" in errors["long.mp4"]
    assert "raise max_pixels" in errors["large.mp4"]
    assert "raise max_memory" in errors["memory.mkv"]
    assert "rename the file" in errors[r"not \udcff text.mp4"]
    assert len([line for line in ended.output.splitlines() if "error row" in line]) == 10
    counts = json.loads((folder / "clips/stage.json").read_text())["counts"]
    assert (counts["sources"], counts["errors"]) == (13, 10)
    found = [
        name
        for split in ("train", "validation", "test")
        for path in (folder / "clips" / split).glob("*.parquet")
        for name in pq.read_table(path)["video"].to_pylist()
    ]
    assert set(found) == {"person_0/good.mp4", "person_1/good.mp4", GOOD}
    assert len(found) == counts["clips"]

    card = json.loads((folder / "clips/dataset.json").read_text())
    assert unbalanced(card) == []
    inputs = card["inputs"]
    assert (inputs["found"], inputs["accepted"]) == (13, 3)
    assert inputs["rejected"] == {"no face": 2}
    assert sum(inputs["errors"].values()) == 8
    assert kinds == {**inputs["rejected"], **inputs["errors"]}
    assert {"the file is empty", "plays for too long", "frames of differing size"} < set(kinds)
    assert card["clips"]["accepted"] == len(found)
    seen = run("preprocess.py", "inspect", folder, "--clips", 3)
    assert seen.status == 0
    assert "13 found = 3 accepted + 2 rejected + 8 errors" in seen.output
    assert (folder / "clips/contact_sheet.png").stat().st_size > 10_000


def test_nothing_usable_ends_with_2_and_the_reasons(collection: Path, tmp_path: Path) -> None:
    ended = run("preprocess.py", "--source", collection / "broken" / "differing sizes",
                "--run", tmp_path / "run", "--clip.size", 32)  # fmt: skip
    assert ended.status == 2
    assert "no clip in 1 sources" in ended.output.strip().splitlines()[-1]
    assert pq.read_table(tmp_path / "run/clips/errors.parquet").num_rows == 1
