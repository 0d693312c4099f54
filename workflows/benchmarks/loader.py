"""Speed of reading shards into torch tensors, beside what training f5warp consumes on two cores.

    loader     datasets/shards/reader.py in one process and one thread, all columns of training
    training   the step of f5warp, ×8 to 128×128, 25 frames stored, batches of 10, pixel loss

In turn, in one run. The perceptual loss would only make training slower. How many loader processes
a GPU needs is arithmetic: a training step costs three times the forward pass (forward, gradient of
the activations, gradient of the weights), two operations a multiply-accumulate.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import torch

from datasets.clips.clip import Clip
from datasets.clips.cutting import clips_of
from datasets.drawn.dataset import write_dataset
from datasets.shards.files import write_clips
from datasets.shards.reader import ShardReader, list_shards
from datasets.shards.row_groups import Batch
from datasets.sources.discovery import find_sources
from infra.errors import SettingsError
from infra.extraction import Cutting, Degradation, Detection, Geometry
from infra.progress import say
from infra.training.torch_engine import TorchEngine
from model.complexity import count
from model.network import build
from model.objectives.restoration import Restoration
from workflows.benchmarks.network import machine

SCALE, SIZE, FRAMES, STORED, BATCH, ROW_GROUP = 8, 128, 5, 25, 10, 16
CORES = 2
LEAST = 20  # times what training consumes: required
GPU, GPU_TFLOPS, GPU_SHARE = "H200", 989.0, 0.4  # dense bf16 of the data sheet; assumed in use
READ_BATCHES = 200  # a round
Figures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py loader`."""
    parser.add_argument("--shards", type=Path, help="folder of shards (none: drawn faces)")
    parser.add_argument("--clips", type=int, default=2048, help="clips to write of drawn faces")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of both (5)")


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure both; raises SettingsError for a number below 1, or shards that cannot be read."""
    for name in ("clips", "rounds"):
        if getattr(chosen, name) < 1:
            raise SettingsError(f"--{name}: expected at least 1, got {getattr(chosen, name)}")
    before = torch.get_num_threads()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if chosen.shards is None:
                say("loader", f"writing {chosen.clips} clips of drawn faces")
                _write(Path(folder), chosen.clips)
            return _measured(str(chosen.shards or folder), chosen.rounds)
    finally:
        torch.set_num_threads(before)


def _write(folder: Path, count: int) -> None:
    """One shard of `count` clips: those of a few drawn people, again and again."""
    with tempfile.TemporaryDirectory() as videos:
        write_dataset(videos, identities=4, clips=1, frames=STORED + 15, size=SIZE)
        clips = [
            clip
            for source in find_sources(videos)
            for clip in clips_of(
                source,
                None,
                Geometry(SIZE, SCALE, STORED),
                Detection(),
                Degradation("paper", 2.4),
                Cutting(clip_stride=1, flow=False),
                seed=0,
            )
        ]
    write_clips(str(folder / "0.parquet"), islice(_repeated(clips), count), ROW_GROUP)


def _repeated(clips: list[Clip]) -> Iterator[Clip]:
    while True:
        yield from clips


def _measured(folder: str, rounds: int) -> Figures:
    reader = ShardReader(list_shards(folder), BATCH, seed=0, prefetch=0)
    torch.manual_seed(0)
    engine = TorchEngine(Restoration(build(f"f{FRAMES}warp", SCALE, SIZE), FRAMES))
    with closing(reader.batches()) as batches:
        batch = _tensors(next(batches))
        size = sum(tensor.nbytes for tensor in batch.values()) / BATCH
        _train(engine, batch)
        read, busy, trained = [], [], []
        for number in range(1, rounds + 1):
            clock, processor = _read(batches)
            read.append(clock)
            busy.append(processor)
            trained.append(_train(engine, batch))
            rates = (BATCH / times[-1] for times in (read, trained))
            say("loader", "round {}/{}: {:.0f} clips/s read, {:.1f} trained on".format(
                number, rounds, *rates))  # fmt: skip
    loader, training = (BATCH / statistics.median(times) for times in (read, trained))
    gmac = count(f"f{FRAMES}warp", SCALE, SIZE)[1]
    consumed = GPU_TFLOPS * 1e3 * GPU_SHARE / (2 * 3 * gmac)
    return {
        "benchmark": "loader",
        "machine": machine(CORES),
        "rounds": rounds,
        "clips": reader.rows,
        "bytes_a_clip": size,
        "loader_clips_per_second": loader,
        "loader_clips_per_second_min": BATCH / max(read),
        "loader_clips_per_second_max": BATCH / min(read),
        "loader_mb_per_second": loader * size / 1e6,
        "loader_cpu_ms_a_clip": 1e3 * statistics.median(busy) / BATCH,
        "training_clips_per_second": training,
        "times_training": statistics.median(b / a for a, b in zip(read, trained, strict=True)),
        "gmac": gmac,
        "gpu_clips_per_second": consumed,
        "gpu_loader_processes": ceil(consumed / loader),
    }


def _tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(values) for name, values in batch.items() if values.dtype != object
    }


def _read(batches: Generator[Batch]) -> tuple[float, float]:
    """Seconds of the clock and of the processor for one batch, over many."""
    clock, busy = time.perf_counter(), time.process_time()
    for batch in islice(batches, READ_BATCHES):
        _tensors(batch)
    return tuple(  # type: ignore[return-value]
        spent / READ_BATCHES for spent in (time.perf_counter() - clock, time.process_time() - busy)
    )


def _train(engine: TorchEngine, batch: dict[str, torch.Tensor]) -> float:
    torch.set_num_threads(CORES)
    before = time.perf_counter()
    engine.step(batch, 1e-4)
    return time.perf_counter() - before


def problem(figures: Figures) -> str:
    """Nothing can be wrong with the figures but that they are slow, which the table says."""
    return ""


def table(figures: Figures) -> str:
    """The figures as Markdown tables, the machine above and the arithmetic below."""
    facts, f = figures["machine"], figures
    reached = f["times_training"] >= LEAST
    return "\n".join(
        [
            f"{f['clips']} clips of {f['bytes_a_clip'] / 1e3:.0f} kB, batches of {BATCH}; "
            f"f{FRAMES}warp, ×{SCALE} to {SIZE}×{SIZE}",
            f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']}; "
            f"torch {facts['torch']}; {f['rounds']} rounds",
            "",
            "| | clips/s (min – max) | MB/s | CPU ms a clip |",
            "|---|---:|---:|---:|",
            f"| loader, one process | {f['loader_clips_per_second']:.0f} "
            f"({f['loader_clips_per_second_min']:.0f} – {f['loader_clips_per_second_max']:.0f}) "
            f"| {f['loader_mb_per_second']:.0f} | {f['loader_cpu_ms_a_clip']:.3f} |",
            f"| training, {CORES} threads | {f['training_clips_per_second']:.2f} | | |",
            "",
            f"loader to training: {f['times_training']:.0f}, at least {LEAST}: "
            f"{'reached' if reached else 'NOT REACHED'}",
            f"an {GPU} at {GPU_SHARE:.0%} of {GPU_TFLOPS:.0f} TFLOP/s (bf16, dense) would consume "
            f"{GPU_TFLOPS:.0f}·10³ · {GPU_SHARE} / (2 · 3 · {f['gmac']:.2f}) = "
            f"{f['gpu_clips_per_second']:.0f} clips/s, which take {f['gpu_loader_processes']} "
            "loader process" + "es" * (f["gpu_loader_processes"] != 1),
        ]
    )
