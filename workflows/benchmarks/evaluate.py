"""Verification of pairs of faces against the descriptor network's own forward pass.

    forward   the network alone, on pictures that already have its size
    evaluate  what a stage does for a row of a table: resize, cut, forward, unit length, means, pair
              similarities, equal error rate, its bootstrap interval, ROC

Batch by batch in turn, so that a busy machine slows both alike; of processor time on one thread,
of the clock on more. Weights and pictures are random: they cost what others do.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch

from datasets.protocols.pairing import Pairing
from infra.errors import SettingsError
from infra.progress import Count
from model.metrics import central_view
from model.perceptual import FaceRecogniser
from workflows.benchmarks.network import machine
from workflows.evaluation.aggregate import verify
from workflows.shared.restoring import describe

ALLOWED = 1.2
Figures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py evaluate`."""
    parser.add_argument("--pairs", type=int, default=600, help="pairs of faces (600)")
    parser.add_argument("--size", type=int, default=128, help="side of a face [px] (128)")
    parser.add_argument("--width", type=float, default=1.0, help="width of the VGG-16 (1.0)")
    parser.add_argument("--input-size", type=int, default=224, help="its input [px] (224)")
    parser.add_argument("--batch", type=int, default=16, help="faces at once (16)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (1)")


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure both; raises SettingsError for under 2 pairs or another number below 1."""
    for name, least in (("pairs", 2), ("size", 1), ("batch", 1), ("threads", 1)):
        if getattr(chosen, name) < least:
            raise SettingsError(f"--{name}: expected at least {least}, got {getattr(chosen, name)}")
    before = torch.get_num_threads()
    torch.set_num_threads(chosen.threads)
    try:
        with torch.no_grad():
            return _measured(chosen)
    finally:
        torch.set_num_threads(before)


def _measured(chosen: argparse.Namespace) -> Figures:
    torch.manual_seed(0)
    network = FaceRecogniser(2, chosen.width, chosen.input_size).eval()
    clock = time.process_time if chosen.threads == 1 else time.perf_counter
    faces = 2 * chosen.pairs  # the worst case: no face is in two pairs
    forward = evaluate = 0.0
    parts = []
    done = Count("evaluate", faces, "faces")
    _describe_both(network, torch.rand(2, 3, chosen.size, chosen.size))  # once, to warm up
    for start in range(0, faces, chosen.batch):
        count = min(chosen.batch, faces - start)
        images = torch.rand(count, 3, chosen.size, chosen.size)
        view = central_view(images, chosen.input_size)
        begun = clock()
        network.forward_to(view, {"fc7"})
        between = clock()
        parts.append(describe(network, images, chosen.batch))
        forward, evaluate = forward + between - begun, evaluate + clock() - between
        done.done(start + count)
    pairing = Pairing(
        pairs=[(2 * pair, 2 * pair + 1) for pair in range(chosen.pairs)],
        same=[pair % 2 == 0 for pair in range(chosen.pairs)],
    )
    begun = clock()
    verdict = verify(np.concatenate(parts), pairing, seed=0)
    judged = clock() - begun
    assert verdict.percent is not None
    evaluate += judged
    return {
        "benchmark": "evaluate",
        "machine": machine(chosen.threads),
        "seconds_of": "processor time" if chosen.threads == 1 else "the clock",
        "pairs": chosen.pairs,
        "faces": faces,
        "size": chosen.size,
        "width": chosen.width,
        "input_size": chosen.input_size,
        "forward_seconds": forward,
        "evaluate_seconds": evaluate,
        "verdict_seconds": judged,
        "ratio": evaluate / forward,
    }


def _describe_both(network: FaceRecogniser, images: torch.Tensor) -> None:
    network.forward_to(central_view(images, network.input_size), {"fc7"})
    describe(network, images)


def table(figures: Figures) -> str:
    """The figures as Markdown."""
    made = figures["machine"]
    return "\n".join(
        [
            f"{figures['pairs']} pairs, {figures['faces']} faces of {figures['size']}×"
            f"{figures['size']}; VGG-16 of width {figures['width']:g}, {figures['input_size']} px",
            f"{made['cpu']}, {made['cores']} cores, load {made['load']}; threads "
            f"{made['threads']}; torch {made['torch']}; seconds of {figures['seconds_of']}",
            "",
            "| forward [s] | evaluate [s] | of it pairs, EER, bootstrap [s] | ratio |",
            "|---:|---:|---:|---:|",
            f"| {figures['forward_seconds']:.2f} | {figures['evaluate_seconds']:.2f} "
            f"| {figures['verdict_seconds']:.2f} | {figures['ratio']:.3f} |",
        ]
    )


def problem(figures: Figures) -> str:
    """Say if evaluating takes longer than 1.2 times the forward pass; else empty."""
    if figures["ratio"] <= ALLOWED:
        return ""
    return f"evaluating takes {figures['ratio']:.2f} times the forward pass, above {ALLOWED}"
