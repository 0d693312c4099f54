"""enhance.large nearest-model: each face goes to the network that was made for its size."""

import hashlib
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import torch

from infra.runs import Run
from model.network import build
from model.weights import save_weights
from tests.integration.conftest import TINY, run, run_here
from tests.support.media import write_images


def weights(path: str, variant: str, size: int, scale: int) -> str:
    """Those of an untrained network, and their SHA-256."""
    torch.manual_seed(0)
    save_weights(build(variant, scale=scale, size=size, width=0.125), path)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_two_faces_of_different_size_go_to_different_networks(tmp_path: Path) -> None:
    """The run's input is 8 pixels wide, the other one's 16; crops that are there already are of 8
    and of 20. Then the other one is gone, and what is complete stays so from any folder."""
    folder = Run(str(tmp_path / "run"))
    with folder.stage("train", "train/f1", {}, []):
        own = weights(folder.path("train/f1/weights.safetensors"), "f1", 32, 4)
    larger = weights(str(tmp_path / "larger.safetensors"), "f3", 32, 2)
    for name, side in (("large", 20), ("small", 8)):
        frame = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
        write_images(tmp_path / f"films/{name}/v", [f"{i}.png" for i in range(5)], [frame] * 5)
    arguments = ("--config", TINY, "--run", folder.uri, "--enhance.variant", "f1",
                 "--enhance.source", "films", "--enhance.large", "nearest-model")  # fmt: skip
    ended = run("enhance.py", *arguments, "--enhance.models", "larger.safetensors", cwd=tmp_path)
    assert ended.status == 0
    rows = pq.read_table(folder.path("enhanced/manifest.parquet")).to_pylist()
    told = [
        [row[n] for n in ("identity", "scale", "variant", "weights", "resized")] for row in rows
    ]
    assert told == [["large", 2, "f3", larger, 16 / 20], ["small", 4, "f1", own, 1.0]]
    assert all((row["input"], row["times"], row["frames"]) == ("native", [], 5) for row in rows)
    for row in rows:
        with av.open(folder.path(row["output"])) as film:
            assert [(f.width, f.height) for f in film.decode(video=0)] == [(32, 32)] * 5

    (tmp_path / "larger.safetensors").unlink()
    again = run_here("--run", folder.uri, stages=["enhance"])
    assert again.status == 0
    assert "[enhance] complete since" in again.output and "Traceback" not in again.output
