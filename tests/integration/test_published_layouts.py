"""Collections laid out as they are published go through the stage with their configuration."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from datasets.shards.files import read_rows
from tests.integration.conftest import run
from tests.support.root import ROOT

PEOPLE = [f"Person_{letter}" for letter in "ABCDEFGHIJ"]
TESTED = {"Person_B", "Person_C"}
PAIRS = "1\t1\nPerson_B\t1\t2\nPerson_B\t1\tPerson_C\t1\n"


def photograph(number: int, size: int = 250) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / (9.0 + number)
    return (127 + 100 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)).astype(np.uint8)


def test_lfw_with_bursts_and_a_protocol(tmp_path: Path) -> None:
    source, folder = tmp_path / "lfw-deepfunneled", tmp_path / "run"
    for number, person in enumerate(PEOPLE):
        (source / person).mkdir(parents=True)
        image = source / person / f"{person}_0001.jpg"
        cv2.imwrite(str(image), photograph(number))
    (source / "Person_A" / "Person_A_0002.jpg").write_bytes(b"no image")
    (tmp_path / "pairs.txt").write_text(PAIRS)

    ended = run(
        "preprocess.py", "--config", ROOT / "workflows/configs/lfw.yaml", "--source", source,
        "--run", folder, "--preprocess.protocol", tmp_path / "pairs.txt",
        "--preprocess.workers", 1,
    )  # fmt: skip
    assert ended.status == 0
    assert "layout auto" not in ended.output
    assert "layout lfw: 11 jpg, read as lfw: 11 stills of 10 people" in ended.output
    assert "the tested one: 1 missing, such as Person_B/Person_B_0002.jpg" in ended.output
    (error,) = pq.read_table(folder / "clips/errors.parquet").to_pylist()
    assert error["reason"].startswith("Person_A/Person_A_0002.jpg: not a readable image")

    counts = json.loads((folder / "clips/stage.json").read_text())["counts"]
    assert (counts["sources"], counts["clips"], counts["errors"]) == (11, 10, 1)
    assert counts["protocol"] == {
        "split": 1, "people": 2, "named": 3, "missing": 1, "missing_in_other_splits": 0,
    }  # fmt: skip
    tables = {
        split: read_rows(str(folder / "clips" / split / "00000.parquet"))
        for split in ("train", "test")
    }
    assert set(tables["test"]["identity"].to_pylist()) == TESTED
    assert TESTED.isdisjoint(tables["train"]["identity"].to_pylist())
    motion = tables["train"]["motion"].combine_chunks().to_numpy_ndarray()
    assert motion.shape[1:] == (25, 64, 2)
    assert not motion[:, 12].any() and motion[:, [0, 11, 13, 24]].any((2, 3)).all()
