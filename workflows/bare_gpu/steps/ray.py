"""Ray Train with DeepSpeed at three ZeRO stages, a training that is killed and goes on, and
enhancement on a Ray actor with a quarter of the GPU: small, on drawn faces, to see that it runs."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workflows.bare_gpu.commands import call, command
from workflows.bare_gpu.driver import ROOT
from workflows.bare_gpu.step import Figures, Given, Save

VARIANT = "f5warp"
STEPS, LONG = 20, 80  # the latter is killed before it ends
SHARED = ("clips", "recogniser", "pretrain", "source")  # folders of a run before train


def run(given: Given, save: Save) -> Figures:
    """Most important first; each part is saved when it ends."""
    found: Figures = {"backend": "NCCL" if given.cuda else "gloo"}
    work = Path(given.work) / "ray"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    settings = work / "settings.yaml"
    settings.write_text(json.dumps(_settings(given)), encoding="utf-8")
    shared = ["--config", str(settings)]
    base = work / "base"
    made = call("preprocess.py", *shared, "--run", str(base))
    found["Ray Data: preprocess"] = made.figures()
    for script in ("recogniser.py", "pretrain.py"):
        call(script, *shared, "--run", str(base), "--engine", "torch")
    save(found)
    for zero in (1, 3, 0):
        place = _copy(base, work / f"zero-{zero}")
        words = [*shared, "--run", str(place), "--train.zero-stage", str(zero)]
        found[f"Ray Train, DeepSpeed, ZeRO {zero}"] = {
            **call("train.py", *words).figures(), **_history(place)
        }  # fmt: skip
        save(found)
        if zero == 1:
            share = ["--enhance.gpus-per-worker", "0.25"] if given.cuda else []
            found["enhance on an actor"] = {
                **call("enhance.py", *words, *share).figures(), **_manifest(place)
            }  # fmt: skip
            save(found)
            found["killed, and gone on"] = _killed(_copy(base, work / "killed"), shared)
            save(found)
    wrong = [name for name, part in found.items() if isinstance(part, dict) and part["status"]]
    if wrong:
        raise SystemExit(f"not as it should be: {', '.join(wrong)}")
    return found


def _settings(given: Given) -> dict[str, Any]:
    clip = {"size": 128, "scale": 8, "blur_sigma": 2.4}
    if given.tiny:
        clip = {"size": 32, "scale": 4, "blur_sigma": 1.2}
    gpu = {"gpus_per_worker": 1} if given.cuda else {}
    return {
        "clip": {**clip, "num_frames": 5},
        "synthetic": {"identities": 10, "clips": 1, "frames": 12},
        "preprocess": {"faces": "aligned", "train_share": 0.5, "validation_share": 0.25},
        "recogniser": {"steps": 3, "width": 0.0625, "input_size": 32, "batch_size": 4},
        "pretrain": {"steps": 3, "batch_size": 4},
        "network": {"width": 0.125 if given.tiny else 1.0},
        "train": {
            "variants": [VARIANT], "use_search": False, "steps": STEPS, "batch_size": 4,
            "precision": "bf16", "log_every": 1, "checkpoint_every": 10, "evaluate_every": 10,
            "validation_clips": 4, **gpu,
        },
        "enhance": {"variant": VARIANT, "limit": 2},
    }  # fmt: skip


def _copy(base: Path, place: Path) -> Path:
    for name in SHARED:
        if (base / name).exists():
            shutil.copytree(base / name, place / name)
    return place


def _killed(place: Path, shared: list[str]) -> Figures:
    """Start a longer training, kill its driver when a checkpoint is there, and start it again."""
    words = [*shared, "--run", str(place), "--train.zero-stage", "1", "--train.steps", str(LONG)]
    # In the group of this step, so that it ends with it.
    first = subprocess.Popen(command("train.py", *words), cwd=ROOT)
    begun = time.monotonic()
    marks: list[Path] = []
    while not marks and first.poll() is None and time.monotonic() - begun < 120:
        marks = list(place.glob(f"train/{VARIANT}/checkpoints/**/mark-0.json"))
        time.sleep(0.02)
    ended = first.poll()
    first.kill()
    first.wait()
    if not marks or ended is not None:
        return {
            "status": 1,
            "why": "no checkpoint came" if not marks else "it ended before the kill",
        }
    stop = [sys.executable, "-m", "ray.scripts.scripts", "stop", "--force"]
    subprocess.run(stop, check=False, capture_output=True)
    before = _rows(place)
    found = {**call("train.py", *words).figures(), **_history(place)}
    # The first step as it was timed before: one that began anew would have another time.
    if not before or _rows(place)[:1] != before[:1]:
        return {
            **found,
            "status": 1,
            "why": "it began anew, or nothing was kept when it was killed",
        }
    return {**found, "steps_when_killed": before[-1]["step"]}


def _rows(place: Path) -> list[dict[str, Any]]:
    file = place / "train" / VARIANT / "history.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def _history(place: Path) -> Figures:
    rows = _rows(place)
    if not rows:
        return {}
    return {"steps": rows[-1]["step"], "first_loss": rows[0]["loss"], "last_loss": rows[-1]["loss"]}


def _manifest(place: Path) -> Figures:
    import pyarrow.parquet as pq

    file = place / "enhanced" / "manifest.parquet"
    if not file.exists():
        return {}
    rows = pq.read_table(file).to_pylist()
    return {"tracks": len(rows), "frames": sum(row["frames"] for row in rows)}


def table(figures: Figures) -> str:
    """A line a part."""
    lines = [
        f"Backend {figures['backend']}.",
        "",
        "| part | exit status | s | |",
        "|---|---:|---:|---|",
    ]
    for name, part in figures.items():
        if isinstance(part, dict):
            rest = {k: v for k, v in part.items() if k not in ("status", "seconds")}
            said = ", ".join(f"{k.replace('_', ' ')} {_short(v)}" for k, v in rest.items())
            lines.append(f"| {name} | {part.get('status')} | {part.get('seconds', '–')} | {said} |")
    return "\n".join(lines)


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "/")
