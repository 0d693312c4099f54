"""A run small enough to be trained in a test, and what the tests of trainings do with it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.shards.files import write_clips
from infra.runs import Run
from infra.settings.settings import Settings
from infra.training.checkpoints import Checkpoints, Mark
from model.weights import load_weights
from tests.datasets.shards.test_files import clip
from workflows.training.restoration import train
from workflows.training.validation import Validation

TINY: dict[str, Any] = {
    "engine": "torch",
    "seed": 3,
    "clip": {"size": 32, "scale": 4, "num_frames": 5},
    "network": {"width": 0.125},
    "recogniser": {"width": 0.0625, "input_size": 32, "steps": 3, "batch_size": 4},
    "pretrain": {"steps": 3, "batch_size": 4},
    "train": {"variants": ["f1", "f3warp"], "steps": 4, "batch_size": 4, "use_search": False,
              "log_every": 1, "checkpoint_every": 2, "validation_clips": 8},
}  # fmt: skip
State = dict[str, torch.Tensor]


def settings(folder: Path, **train: Any) -> Settings:
    return Settings(**{**TINY, "run": str(folder), "train": {**TINY["train"], **train}})


def write_shards(run: Run, split: str, count: int, num_frames: int = 5) -> None:
    """Clips of four people, each of its own colour, with some noise."""
    draw = np.random.default_rng(len(split))

    def picture(number: int, *shape: int) -> np.ndarray:
        return (50 * (number % 4) + draw.integers(0, 60, shape)).astype(np.uint8)

    clips = [
        replace(
            full, low=picture(number, num_frames, 8, 8, 3), high=picture(number, 32, 32, 3),
            neighbour=picture(number, 32, 32, 3), identity=f"{split}-{number % 4}",
            motion=full.motion[:num_frames], boxes=full.boxes[:num_frames],
        )
        for number, full in enumerate(map(clip, range(count)))
    ]  # fmt: skip
    write_clips(run.path("clips", split, "0.parquet"), clips)


def history(run: Run, *folder: str) -> list[dict[str, float]]:
    return json.loads(Path(run.path(*folder, "history.json")).read_text())


def state(run: Run, variant: str) -> State:
    return load_weights(run.path("train", variant, "weights.safetensors"))[0]


def cut_off(options: Settings, run: Run, monkeypatch: pytest.MonkeyPatch, after: int = 1) -> None:
    """Train up to the first, or a later, checkpoint."""

    def crash_after(self: Checkpoints, folder: Path, mark: Mark) -> None:
        save(self, folder, mark)
        self.wait()
        if mark.step >= after:
            raise KeyboardInterrupt

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", crash_after)
        with pytest.raises(KeyboardInterrupt):
            train(options, run)


def validated(scores: Iterable[float], monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """Validations give these scores; returns where the weights at each are put."""
    seen: list[State] = []
    given = iter(scores)

    def score(_: Validation, network: torch.nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"psnr": next(given)}

    monkeypatch.setattr(Validation, "score", score)
    return seen
