"""Another method, an independent judge and other weights beside a finished run's own variants, and
a run that had no search."""

import json
import shutil
from pathlib import Path

import cv2
import pytest

from tests.integration.conftest import TINY, Ended, run
from tests.support.linear_onnx import write


def test_without_ray_it_measures_the_same(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny[0], folder)
    before = json.loads((folder / "report/metrics.json").read_text())
    words = ("--config", TINY, "--run", folder, "--engine", "torch", "--force", "evaluate")
    ended = run("evaluate.py", *words, RAY_ADDRESS="ray://nobody.invalid:1")
    assert ended.status == 0
    after = json.loads((folder / "report/metrics.json").read_text())
    assert list(after["variants"]) == list(before["variants"])
    for name, row in before["variants"].items():
        for key, value in row.items():
            expected = value if value is None else pytest.approx(value, abs=2e-3)
            assert after["variants"][name][key] == expected, (name, key)
    assert after["pairs"] == before["pairs"]


def test_another_method_on_the_same_clips(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """Bicubic by OpenCV from the exported frames, one missing and one of a wrong size: a row beside
    our own bicubic, with what is wrong said by name and count."""
    folder, mine = tmp_path / "run", tmp_path / "mine"
    shutil.copytree(tiny[0], folder)
    low = tmp_path / "low"
    command = ("evaluate.py", "--config", TINY, "--run", folder)
    exported = run(*command, "--evaluate.export", low)
    assert exported.status == 0 and "skipped" in exported.output
    index = json.loads((low / "index.json").read_text())
    for number, clip in enumerate(index["clips"]):
        picture = cv2.imread(str(low / clip["folder"] / clip["central"]))
        size = 16 if number == 1 else 32
        (mine / clip["folder"]).mkdir(parents=True)
        restored = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
        if number:
            cv2.imwrite(str(mine / clip["folder"] / clip["central"]), restored)

    shutil.rmtree(folder / "tune")
    judge = write(tmp_path / "judge.onnx", ["b", 3, 4, 4])
    ended = run(
        *command, "--no-train.use-search", "--force", "evaluate",
        "--evaluate.external", f"mine={mine}",
        "--evaluate.external", f"f1 again={folder}/train/f1/weights.safetensors",
        "--evaluate.judge", judge, "--evaluate.judge-size", "4",
        "--evaluate.splits", "train,test",
    )  # fmt: skip
    assert ended.status == 0
    count = len(index["clips"])
    first = index["clips"][0]["folder"]
    assert f"mine: 2 of {count} test frames cannot be used: {first}/" in ended.output
    metrics = json.loads((folder / "report/metrics.json").read_text())
    rows = metrics["variants"]
    own = ["bicubic", "linear", "f1", "f5warp"]
    assert list(rows) == ["ground_truth", "low", *own, "mine", "f1 again"]
    assert (rows["mine"]["clips"], rows["bicubic"]["clips"]) == (count - 2, count)
    # OpenCV's kernel is the sharper one (a = −0.75, ours −0.5); its results are rounded.
    assert rows["mine"]["psnr"] == pytest.approx(rows["bicubic"]["psnr"], abs=0.7)
    for key in ("psnr", "verification", "judge", "l2_fc7", "consistency"):
        assert rows["f1 again"][key] == pytest.approx(rows["f1"][key], abs=1e-3)
    assert all(0 <= row["judge"] <= 100 for row in rows.values())
    assert set(metrics["train"]) == set(rows)
    report = folder / "report"
    page = (report / "index.html").read_text()
    assert "<h2>Search" not in page and "<h2>Search" in (tiny[0] / "report/index.html").read_text()
    assert "by the judge" in page and "expected 32×32" in page and first in page
    assert (report / "figures/ablation_f1.png").is_file()
    assert "| train | bicubic |" in (report / "tables/table1.md").read_text()
