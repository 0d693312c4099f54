"""All seven stages on tiny settings, source and run in object storage: what is in the run folder,
and that a second run does none."""

import json
import re
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from datasets.shards.reader import ShardReader
from model.weights import load_network
from tests.integration.conftest import CLIPS_A_VIDEO, TINY, TINY_RUN, VIDEOS, Ended, run_here
from workflows.stages import STAGES

Tiny = tuple[Path, Ended]


def test_ends_well_with_a_complete_run_folder(tiny: Tiny) -> None:
    folder, ended = tiny
    assert ended.status == 0
    for stage in STAGES.values():
        record = json.loads((folder / stage.folder / "stage.json").read_text())
        assert record["versions"]["facestack"], stage
    for name in ("recogniser", "pretrain", "train/f1", "train/f5warp"):
        assert (folder / name / "weights.safetensors").is_file(), name
    for variant in ("f1", "f5warp"):
        assert (folder / "train" / variant / "linear.safetensors").is_file(), variant
    assert (folder / "tune/best.json").is_file()


def test_every_line_of_the_output_is_ours(tiny: Tiny) -> None:
    """Standard output and error: no process's name before a line, no log of Ray or of Optuna."""
    ours = re.compile(rf"\[({'|'.join(STAGES)}|train-\w+|trial-\w+)\] +\S")
    lines = tiny[1].output.splitlines()
    assert [line for line in lines if not ours.match(line)] == []
    # Each training's own lines are there, in their order, before the one that says it is done.
    shown = [line for line in lines if line.startswith(("[train-f1] step", "[train] done"))]
    steps = [int(line.split()[2].partition("/")[0]) for line in shown if "step " in line[:16]]
    assert steps == sorted(steps) and steps[-1] == 12
    assert shown.index(next(line for line in shown if "done" in line)) == len(steps)


def test_every_clip_is_there_once_and_no_person_is_in_two_splits(tiny: Tiny) -> None:
    folder, _ = tiny
    tables = {split: pq.read_table(folder / "clips" / split, columns=["clip_id", "identity"])
              for split in ("train", "validation", "test")}  # fmt: skip
    ids = [name for table in tables.values() for name in table["clip_id"].to_pylist()]
    assert len(ids) == len(set(ids)) == VIDEOS * CLIPS_A_VIDEO
    people = [set(table["identity"].to_pylist()) for table in tables.values()]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people))
    assert not (folder / "clips/parts").exists()


def test_metrics_and_report(tiny: Tiny) -> None:
    folder, _ = tiny
    variants = json.loads((folder / "report/metrics.json").read_text())["variants"]
    assert list(variants) == ["ground_truth", "low", "bicubic", "linear", "f1", "f5warp"]
    assert variants["ground_truth"]["l2_fc7"] == 0
    for name in ("bicubic", "linear", "f1", "f5warp"):
        assert 10 < variants[name]["psnr"] < 40
        assert 0 <= variants[name]["verification"] <= 100
        assert 0 < variants[name]["l2_pool3"] < 2
    page = (folder / "report/index.html").read_text()
    assert "f5warp" in page
    assert 'src="data:image/png;base64,' in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for name in ("results.md", "results.csv", "table1.md", "table2.tex", "differences.md"):
        text = (folder / "report/tables" / name).read_text()
        assert "bicubic" in text and "linear" in text, name


def test_metrics_are_those_of_the_stored_weights(tiny: Tiny) -> None:
    """PSNR = mean over clips of −10·log10(mean (Y − Y')²), Y = 0.299 R + 0.587 G + 0.114 B,
    computed here with NumPy from the shards and the saved network."""
    folder, _ = tiny
    shards = sorted(str(path) for path in (folder / "clips/test").glob("*.parquet"))
    clips = next(ShardReader(shards, 1000, None, ("low", "high"), prefetch=0).once())
    network = load_network(folder / "train/f5warp/weights.safetensors")
    low = torch.from_numpy(clips["low"][:, 10:15].copy()).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        restored = network(low).permute(0, 2, 3, 1).numpy()
    weights = np.array([0.299, 0.587, 0.114])
    error = ((restored - clips["high"] / 255) @ weights) ** 2
    psnr = np.mean(-10 * np.log10(error.mean(axis=(1, 2))))
    metrics = json.loads((folder / "report/metrics.json").read_text())["variants"]
    assert abs(metrics["f5warp"]["psnr"] - psnr) < 2e-3


def test_enhanced_videos_have_the_frames_and_rate_of_their_sources(tiny: Tiny) -> None:
    folder, _ = tiny
    rows = pq.read_table(folder / "enhanced/manifest.parquet").to_pylist()
    assert len(rows) == VIDEOS
    for row in rows:
        output, source = folder / row["output"], folder / "source" / row["video"]
        with av.open(str(output)) as restored, av.open(str(source)) as low:
            assert restored.streams.video[0].average_rate == low.streams.video[0].average_rate
            pictures = [frame.to_ndarray(format="rgb24") for frame in restored.decode(video=0)]
            assert len(pictures) == row["frames"] == sum(1 for _ in low.decode(video=0)) == 33
        assert pictures[0].shape == (32, 32, 3)
        assert np.std(pictures[0]) > 10


@pytest.mark.usefixtures("reached")
def test_a_second_run_does_nothing_and_says_so(tiny: Tiny) -> None:
    folder, _ = tiny
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = run_here("--config", TINY, "--run", TINY_RUN)
    assert again.status == 0
    for stage in ("preprocess", "recogniser", "pretrain", "tune", "evaluate", "enhance"):
        assert f"[{stage}] complete since" in again.output
    assert again.output.count("[train] complete since") == 2
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("reached", "tiny")
def test_changed_settings_are_refused_in_one_line() -> None:
    refused = run_here("--config", TINY, "--run", TINY_RUN, "--clip.blur-sigma", "2")
    assert refused.status == 2
    lines = refused.output.strip().splitlines()
    assert len(lines) == 1
    assert "clip.blur_sigma was 1.2, now 2.0" in lines[0]
    assert "--force preprocess" in lines[0]
