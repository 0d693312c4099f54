"""workflows/gpu.py as a user runs it, on a CPU: a parcel of faces goes in, figures, a sheet and
weights come out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.runs import Run
from model.perceptual import FaceRecogniser, save_recogniser
from model.weights import load_network
from tests.support.root import ROOT
from tests.support.tiny_training import write_shards
from workflows.bare_gpu.parcels import face_parcels

pytestmark = pytest.mark.integration
# Far more than any machine takes: what is tiny ends by its steps.
MINUTES = "60"
CLIP = {"size": 32, "scale": 4, "num_frames": 5, "blur_sigma": 1.2}


@pytest.fixture
def parcels(tmp_path: Path) -> Path:
    """A parcel of four people a split and a recogniser that knows nothing."""
    run = Run(str(tmp_path / "run"))
    with run.stage("preprocess", "clips", {"clip": CLIP, "preprocess": {}}, []) as stage:
        assert stage is not None
        for split, count in (("train", 16), ("validation", 8), ("test", 8)):
            write_shards(run, split, count)
            stage.counts[split] = count
        stage.counts |= {
            "sources": 12,
            "frames": 99,
            "clips": 32,
            "errors": 0,
            "rejected_tracks": {},
        }
    with run.stage("recogniser", "recogniser", {}, ["clips"]) as stage:
        assert stage is not None
        stage.counts |= {"training_identities": 4, "held_out_verification": "50.0 %"}
        judge = FaceRecogniser(identities=4, width=0.0625, input_size=32)
        save_recogniser(judge, run.path("recogniser", "weights.safetensors"))
    face_parcels.pack(run, tmp_path / "parcels" / "faces" / "1-tiny.tar", {})
    return tmp_path / "parcels"


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(ROOT / "workflows" / "gpu.py"), "--device", "cpu", "--tiny"]
    program += ["--out", str(folder / "out"), "--work", str(folder / "work")]
    program += ["--parcels", str(folder / "parcels"), *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.usefixtures("parcels")
def test_machine_and_training(tmp_path: Path) -> None:
    words = [
        "--minutes", MINUTES, "--only", "machine", "training",
        "--plan", "pretrain:1,f1:1,f3warp:1",
    ]  # fmt: skip
    done = call(tmp_path, *words, "--weights", "f3warp")
    out = tmp_path / "out"
    assert done.returncode == 0, done.stdout + done.stderr + (out / "log.txt").read_text()[-3000:]
    machine = json.loads((out / "machine.json").read_text())
    assert machine["state"] == "done" and machine["figures"]["matrix_tflops"]["fp32"] > 0
    found = json.loads((out / "training.json").read_text())["figures"]["1-tiny"]
    assert found["parcel"]["clips"] == {"train": 16, "validation": 8, "test": 8}
    for name in ("pretrain", "f1", "f3warp"):
        assert found["trainings"][name]["status"] == 0 and found["trainings"][name]["steps"] == 30
    assert set(found["metrics"]["variants"]) >= {"bicubic", "linear", "f1", "f3warp"}
    assert found["metrics"]["variants"]["f3warp"]["clips"] == 8
    pairs = {(row["method"], row["against"]) for row in found["metrics"]["differences"]}
    assert ("f3warp", "f1") in pairs
    assert (out / "1-tiny.jpg").stat().st_size > 1000
    page = (out / "summary.md").read_text()
    assert "| f3warp | f1 | " in page and "Weights that came back: 1-tiny-f3warp" in page
    assert call(tmp_path, "--join", str(out)).returncode == 0
    network = load_network(out / "1-tiny-f3warp.safetensors")
    assert (network.variant, network.size, network.num_frames) == ("f3warp", 32, 3)


def test_a_step_without_its_parcel_says_so(tmp_path: Path) -> None:
    done = call(tmp_path, "--minutes", MINUTES, "--only", "training")
    assert done.returncode == 1
    result = json.loads((tmp_path / "out" / "training.json").read_text())
    assert result["state"] == "failed" and "no parcel of faces" in result["why"]
