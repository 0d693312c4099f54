"""Collections for the stage enhance whose films are faces already, and what it makes of them."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from datasets.video_writer import write_video
from model.network import build
from model.weights import save_weights

SIDE = 8  # px, of films and of the network's input
# What two runs differ in: how long it took, and when it ended. (How long a film plays stands in
# its tracks, too.)
OWN = {"took", "seconds", "finished"}


def collection(root: Path, films: Mapping[str, int]) -> Path:
    """Films of one face each, noise, by name and number of frames; another name, other noise."""
    for name, frames in films.items():
        chance = np.random.default_rng(list(name.encode()))
        face = chance.integers(40, 216, (SIDE, SIDE, 3))
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = (
            (face + chance.integers(-20, 20, face.shape)).astype(np.uint8) for _ in range(frames)
        )
        write_video(path, pictures, Fraction(25), 14, "ultrafast")
    return root


def weights(path: Path, variant: str = "f3", seed: int = 0) -> Path:
    """Those of an untrained network, 8 → 32 pixels."""
    torch.manual_seed(seed)
    save_weights(build(variant, scale=4, size=4 * SIDE, width=0.125), path)
    return path


def arguments(
    source: Path | str, folder: Path | str, weights: Path | str, *more: object
) -> tuple[str, ...]:
    """Those of enhance.py; faces and the table of frames are wanted, and no page."""
    told = (
        "--source", source, "--run", folder, "--weights", weights, "--enhance.faces", "aligned",
        "--enhance.outputs", '["faces", "frames"]', *more,
    )  # fmt: skip
    return tuple(map(str, told))


def results(run: Path) -> dict[str, Any]:
    """What each file below `enhanced` of a run holds, by its path: bytes, or what JSON and tables
    say apart from seconds and times of day."""
    folder = run / "enhanced"
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_text()))
    if path.name == "sources.parquet":
        rows = pq.read_table(path).to_pylist()
        return [_lasting(row | {"outcome": json.loads(row["outcome"])}) for row in rows]
    if path.name == "films.parquet":
        return _lasting(pq.read_table(path).to_pylist())
    return path.read_bytes()


def _lasting(value: Any) -> Any:
    """JSON without what is another each time."""
    if isinstance(value, list):
        return [_lasting(each) for each in value]
    if isinstance(value, dict):
        return {key: _lasting(each) for key, each in value.items() if key not in OWN}
    return value
