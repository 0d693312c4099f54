"""Speed of training with the loss of eq. (6): clips/s of a bare loop, our loop, Ray + DeepSpeed.

    plain   a bare PyTorch loop, eager, over batches in memory
    loop    the training loop without Ray (`--engine torch`), from shards
    ray-1   Ray Train and DeepSpeed with one worker, from shards
    ray-2   the same with two workers, which share the threads

They take turns of some steps in one run, in changing order, and wait between them; a ratio is the
median over the rounds, of the clock and of processor time.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from datasets.clips.clip import Clip
from datasets.shards.files import write_clips
from infra.errors import FaultError, SettingsError
from infra.progress import say
from workflows.benchmarks.gpu import train
from workflows.benchmarks.network import machine
from workflows.benchmarks.train_contenders import Setting, place, running, wait_for

CLIPS = 200
LEAST_RATIO, MOST_WAITING, TOLERANCE = 0.95, 0.03, 1e-3
Figures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py train`."""
    cores = os.cpu_count() or 1
    parser.add_argument("--variants", nargs="+", default=["f5warp", "f25warp"], metavar="NAME")
    parser.add_argument("--size", type=int, default=64, help="side of the high image (64)")
    parser.add_argument("--scale", type=int, default=4, help="high per low pixel (4)")
    parser.add_argument("--width", type=float, default=0.25, help="channels of R (0.25)")
    parser.add_argument("--batch", type=int, default=10, help="clips a step and worker (10)")
    parser.add_argument("--threads", type=int, default=cores, help=f"of PyTorch ({cores})")
    parser.add_argument("--steps", type=int, default=10, help="steps a round (10)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds measured (7)")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="of Ray (1 2)")
    parser.add_argument(
        "--loss-steps", type=int, default=0, metavar="STEPS",
        help="of fp32 and bf16 on a GPU, whose losses are compared (0: none)",
    )  # fmt: skip


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure all ways; raises SettingsError for a number below 1 or a way that does not run."""
    for name in ("size", "scale", "batch", "threads", "steps", "rounds"):
        if getattr(chosen, name) < 1:
            raise SettingsError(f"--{name}: expected at least 1, got {getattr(chosen, name)}")
    figures: Figures = {"benchmark": "train", "machine": machine(chosen.threads)}
    figures |= {name: getattr(chosen, name) for name in ("size", "scale", "width", "batch")}
    figures |= {name: getattr(chosen, name) for name in ("steps", "rounds")}
    with TemporaryDirectory(prefix="facestack-benchmark-") as folder:
        say("train", f"writing {CLIPS} clips")
        write_shards(folder, chosen.size, chosen.scale)
        settings = [
            Setting(
                folder, variant, chosen.size, chosen.scale, chosen.width, chosen.batch,
                chosen.threads, chosen.steps, chosen.rounds,
            )
            for variant in chosen.variants
        ]  # fmt: skip
        figures["variants"] = {one.variant: compared(one, chosen.workers) for one in settings}
        figures["cuda"], figures["losses"] = None, {}
        if torch.cuda.is_available():
            figures["cuda"] = {one.variant: train.measure(one) for one in settings}
            if chosen.loss_steps:
                figures["losses"] = {
                    one.variant: train.last_losses(one, chosen.loss_steps) for one in settings
                }
    return figures


def write_shards(folder: str, size: int, scale: int) -> None:
    """Clips of blurred noise with fine grain, which packs about as well as faces do."""
    draw = np.random.default_rng(0)
    low = size // scale

    def image(side: int) -> np.ndarray:
        coarse = draw.integers(0, 256, (8, 8, 3), np.uint8)
        grain = draw.integers(0, 8, (side, side, 3), np.uint8)
        return cv2.add(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), grain)

    def clip(number: int) -> Clip:
        return Clip(
            f"clip-{number}", f"person-{number % 20}", "video", 0, number, 25.0,
            low=np.stack([image(low) for _ in range(25)]), high=image(size), neighbour=image(size),
            neighbour_offset=1, boxes=np.zeros((25, 4), np.float32), order=number,
            motion=np.zeros((25, 64, 2), np.float16), sharpness=1.0, degradation="",
        )  # fmt: skip

    for shard in range(2):
        numbers = range(shard * CLIPS // 2, (shard + 1) * CLIPS // 2)
        write_clips(f"{folder}/clips/{shard}.parquet", map(clip, numbers))


def compared(setting: Setting, on_ray: list[int]) -> Figures:
    """The ways of one setting side by side; Ray with so many workers, where any are named."""
    ray = {f"ray-{n}": n for n in side_by_side(on_ray, torch.cuda.device_count())}
    workers = {"plain": 1, "loop": 1, **ray}
    times: dict[str, list[list[float]]] = {way: [] for way in workers}
    try:
        with running(setting, ray) as processes:
            for way in workers:
                for rank in range(workers[way]):
                    wait_for(place(setting, way, f"round-0-{rank}.json"), processes[way])
                say("train", f"{setting.variant}: {way} has made its first steps")
            for number in range(1, setting.rounds + 1):
                for way in list(workers)[:: 1 if number % 2 else -1]:
                    place(setting, way, f"go-{number}").touch()
                    done = place(setting, way, f"round-{number}-0.json")
                    wait_for(done, processes[way])
                    times[way].append(json.loads(done.read_text()))
                    rate = _clips(setting, workers[way]) / times[way][-1][0]
                    say("train", f"{setting.variant}, round {number}/{setting.rounds}: {way} "
                        f"{rate:.1f} clips/s")  # fmt: skip
    except FaultError:
        print(_logs(Path(setting.folder, setting.variant)), file=sys.stderr)
        raise
    return {way: _row(setting, way, times, workers[way]) for way in workers}


def side_by_side(workers: list[int], gpus: int) -> list[int]:
    """The numbers of workers, first ones first, that have a GPU each all at once; all without one.

    Every way holds its workers until the last is measured.
    """
    kept: list[int] = []
    for number in workers:
        if not gpus or sum(kept) + number <= gpus:
            kept.append(number)
    return kept


def _logs(folder: Path) -> str:
    return "\n".join(log.read_text()[-2000:] for log in folder.glob("*.log"))


def _clips(setting: Setting, workers: int) -> int:
    """What a round is of."""
    return setting.batch * setting.steps * workers


def _row(setting: Setting, way: str, times: dict[str, list[list[float]]], workers: int) -> Figures:
    clips = _clips(setting, workers)
    clock = [seconds for seconds, _ in times[way]]
    base = [seconds for seconds, _ in times["plain"]]
    busy = [seconds for _, seconds in times[way]]
    base_busy = [seconds for _, seconds in times["plain"]]
    history = json.loads(place(setting, way, "stage/history.json").read_text())
    row = {
        "clips_per_second": clips / statistics.median(clock),
        "clips_per_second_min": clips / max(clock),
        "clips_per_second_max": clips / min(clock),
        "times_plain": workers * _ratio(base, clock),
        # Of one process: what a second worker does is not in it.
        "times_plain_cpu": _ratio(base_busy, busy),
        "loss": next(r["loss"] for r in history if r.get("step", setting.steps) == setting.steps),
    }
    if way == "plain":
        return row
    # loader_share is of the time from one report to the next, in which the gate was closed a while.
    waited = [
        r["loader_share"] * clips / r["clips_per_second"]
        for r in history
        if setting.steps < r["step"] < setting.total
    ]
    return row | {"waiting": sum(waited) / sum(clock)}


def _ratio(slow: list[float], fast: list[float]) -> float:
    # Round by round, since the two of a round ran side by side.
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def problem(figures: Figures) -> str:
    """Say if a way that sees the same batches does not have the same loss; else empty."""
    for variant, rows in figures["variants"].items():
        for way in ("loop", "ray-1"):
            expected, found = rows["plain"]["loss"], rows.get(way, rows["plain"])["loss"]
            if abs(found - expected) > TOLERANCE * abs(expected):
                return f"{variant}: the loss of {way} is {found}, of plain {expected}"
    return ""


def table(figures: Figures) -> str:
    """The figures as Markdown tables with the machine above and what is required below."""
    facts = figures["machine"]
    lines = [
        f"×{figures['scale']} to {figures['size']}×{figures['size']}, width {figures['width']:g}, "
        f"batches of {figures['batch']}, fp32, pool3 and pool4 of a recogniser at 64 px",
        f"{facts['cpu']} ({facts['capability']}), {facts['cores']} cores, load {facts['load']}; "
        f"threads {facts['threads']}; torch {facts['torch']}; "
        f"{figures['rounds']} rounds of {figures['steps']} steps",
    ]
    for variant, rows in figures["variants"].items():
        lines += [
            "",
            f"| {variant} | clips/s (min – max) | × plain | × plain, CPU time | loader waiting |",
            "|---|---:|---:|---:|---:|",
        ]
        for way, row in rows.items():
            waiting = f"{row['waiting']:.1%}" if "waiting" in row else "–"
            lines.append(
                f"| {way} | {row['clips_per_second']:.1f} ({row['clips_per_second_min']:.1f} – "
                f"{row['clips_per_second_max']:.1f}) | {row['times_plain']:.2f} "
                f"| {row['times_plain_cpu']:.2f} | {waiting} |"
            )
        lines += ["", *(_required(rows) if "ray-1" in rows else [])]
    if figures["cuda"] is None:
        lines.append("no CUDA device: fp32, TF32 and bf16, eager and compiled, not measured")
    else:
        for variant, measured in figures["cuda"].items():
            lines.append(train.table(variant, measured, figures["losses"].get(variant)))
    return "\n".join(lines)


def _required(rows: dict[str, Figures]) -> list[str]:
    ratio, waiting = rows["ray-1"]["times_plain"], rows["ray-1"]["waiting"]
    reached = train.REACHED
    return [
        f"required of ray-1: ≥ {LEAST_RATIO} × plain ({ratio:.2f}, "
        f"{reached[ratio >= LEAST_RATIO]}), loader waiting < {MOST_WAITING:.0%} "
        f"({waiting:.1%}, {reached[waiting < MOST_WAITING]})"
    ]
