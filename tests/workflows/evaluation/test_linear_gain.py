"""What aligned frames gain a linear restoration, on clips whose motion is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.degrade import degrade_track
from datasets.shards.files import write_clips
from infra.runs import Run
from model.layers.warp_predictor import WarpPredictor
from tests.datasets.shards.test_files import clip
from tests.support.media import moving_texture
from workflows.evaluation.linear_gain import linear_gains

SIZE, SCALE, FRAMES = 32, 4, 9


def write_moving(run: Run, split: str, count: int, noise: float = 8.0) -> None:
    """Textures that move by whole high pixels, at random, under noise; `motion` says how far."""
    draw = np.random.default_rng(len(split))
    clips = []
    for number in range(count):
        film, motion = moving_texture(draw, FRAMES, SIZE, margin=8, sigma=1.5, levels=30)
        low = degrade_track(film, SCALE, 1.2) + noise * draw.standard_normal((FRAMES, 8, 8, 3))
        clips.append(
            replace(
                clip(number), clip_id=f"{split}#{number}@0", identity=f"{split}-{number}",
                low=low.round().clip(0, 255).astype(np.uint8), high=film[FRAMES // 2],
                neighbour=film[0], motion=motion, boxes=np.zeros((FRAMES, 4), np.float32),
            )
        )  # fmt: skip
    write_clips(run.path("clips", split, "0.parquet"), clips)


def test_aligned_frames_gain_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.evaluation.linear_gain.WINDOWS", ((5, 1), (5, 2), (25, 1)))
    run = Run(str(tmp_path))
    with run.stage("preprocess", "clips", {}, []) as stage:
        assert stage is not None
        write_moving(run, "train", 12)
        write_moving(run, "test", 4)
    clip = {"scale": SCALE, "size": SIZE, "num_frames": FRAMES}
    rows = list(linear_gains(run, WarpPredictor(8), clip))
    # A window of 25 is longer than these clips.
    assert [(row["frames"], row["step"]) for row in rows] == [(5, 1), (5, 2)]
    for row in rows:
        assert row["predicted"] == row["none"]  # P says nothing before its training
        assert row["stored"] > row["none"] + 0.5
    assert len({row["one_frame"] for row in rows}) == 1
