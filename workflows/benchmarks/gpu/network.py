"""Speed of restoring on a GPU: frames/s of each variant in fp32, TF32 and bf16, `restore` beside
batched windows, ways to run the network, which batch saturates, and the share of the GPU's own
matrix rate. It runs on a CPU too, where its figures only say that it runs.
"""

import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from infra.progress import say
from model.network import Network, build
from model.streaming import restore
from workflows.benchmarks.gpu.timing import (
    PRECISIONS,
    autocast,
    float32_as,
    matrix_tflops,
    peak,
    reset_peak,
    said,
    synchronise,
    times,
)
from workflows.benchmarks.gpu.ways import SEARCHED, WAYS

MAIN = "f25warp"
LEAST_SHARE = 0.40  # of the measured bf16 matrix rate, in R's convolutions
Figures = dict[str, Any]
Save = Callable[[Figures], None]


@dataclass(frozen=True)
class Sizes:
    """How much is measured: long enough for whole batches, which is how a film runs."""

    scale: int = 8
    size: int = 128
    frames: int = 256
    batch: int = 32
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    matrix: int = 8192
    rounds: int = 5
    variants: tuple[str, ...] = (MAIN, "f5warp", "f1")


TINY = Sizes(4, 32, 26, 2, (1, 2), 256, 1, (MAIN, "f1"))


def measure(device: str, sizes: Sizes, save: Save = lambda _: None) -> Figures:
    """All of it on a device, most important first; `save` is given what there is after each row."""
    where = torch.device(device)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    figures: Figures = {"device": name, "cuda": torch.version.cuda, "batch": sizes.batch}
    figures |= {"frames": sizes.frames, "variants": [], "reconstruction": [], "ways": []}
    figures |= {"batches": [], "matrix_tflops": {}}
    with torch.no_grad():
        for precision in PRECISIONS:
            figures["matrix_tflops"][precision] = matrix_tflops(where, precision, sizes.matrix)
        rates = figures["matrix_tflops"]
        figures["reconstruction"] = [
            _reconstruction(where, precision, sizes, rates) for precision in ("bf16", "tf32")
        ]
        save(figures)
        for variant in sizes.variants:
            rows = _variant(variant, where, sizes, rates)
            each = (f"{r['precision']} {r['frames_per_second']:.0f}" for r in rows)
            say("network", f"{variant} on {device}, frames/s: {', '.join(each)}")
            figures["variants"] += rows
            save(figures)
        network = prepared(MAIN, where, sizes)
        figures["batches"] = [_batch(network, where, batch, sizes) for batch in sizes.batches]
        save(figures)
        for way in WAYS:
            row = _way(way, network, where, sizes)
            found = row.get("error") or f"{row['frames_per_second']:.0f} frames/s"
            say("network", f"{MAIN} on {device}, {way}: {found}")
            figures["ways"].append(row)
            save(figures)
    return figures


def prepared(variant: str, where: torch.device, sizes: Sizes) -> Network:
    """The network with random weights (untrained, P ends in zeros and R shows the centre alone),
    laid out as enhancement lays it out on a GPU."""
    torch.manual_seed(0)
    network = build(variant, sizes.scale, sizes.size, start="kaiming").eval()
    assert isinstance(network, Network)
    if network.predictor is not None:
        nn.init.normal_(network.predictor.last.weight, std=0.003)
    return network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _variant(variant: str, where: torch.device, sizes: Sizes, rates: Figures) -> list[Figures]:
    network = prepared(variant, where, sizes)
    side = sizes.size // sizes.scale
    film = torch.rand(sizes.frames, 3, side, side, device=where)
    window = torch.rand(sizes.batch, network.num_frames, 3, side, side, device=where)
    with FlopCounterMode(display=False) as counter:
        network(window[:1])
    flops, rows, exact = counter.get_total_flops(), [], None
    for precision in PRECISIONS:
        bf16 = precision == "bf16"
        with float32_as("tf32" if precision == "tf32" else "ieee"):
            restored = restore(network, film, sizes.batch, bf16)
            exact = restored if exact is None else exact
            reset_peak(where)
            streamed = times(
                where, partial(restore, network, film, sizes.batch, bf16), sizes.rounds
            )
            memory = peak(where)
            with autocast(where, bf16):
                windows = times(where, partial(network, window), sizes.rounds)
        a_second = sizes.frames / statistics.median(streamed)
        # As the network is written; `restore` does less.
        tflops = flops * sizes.batch / statistics.median(windows) / 1e12
        rows.append(
            {
                "variant": variant,
                "precision": precision,
                "frames_per_second": a_second,
                "frames_per_second_min": sizes.frames / max(streamed),
                "frames_per_second_max": sizes.frames / min(streamed),
                "batched_frames_per_second": sizes.batch / statistics.median(windows),
                "tflops": tflops,
                "share_of_matrix": tflops / rates[precision],
                "peak_mib": memory,
                "difference_to_fp32": float((restored - exact).abs().max()),
            }
        )
    return rows


def _reconstruction(where: torch.device, precision: str, sizes: Sizes, rates: Figures) -> Figures:
    """R of f25warp alone, channels last, where nearly all of the arithmetic is."""
    network = prepared(MAIN, where, sizes)
    layers = network.reconstruction
    channels = next(p for p in layers.parameters() if p.ndim == 4).shape[1]
    maps = torch.rand(sizes.batch, channels, sizes.size, sizes.size, device=where)
    maps = maps.to(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        layers(maps[:1])
    with (
        float32_as("tf32" if precision == "tf32" else "ieee"),
        autocast(where, precision == "bf16"),
    ):
        seconds = statistics.median(times(where, lambda: layers(maps), sizes.rounds))
    tflops = counter.get_total_flops() * sizes.batch / seconds / 1e12
    return {
        "precision": precision,
        "frames_per_second": sizes.batch / seconds,
        "tflops": tflops,
        "share_of_matrix": tflops / rates[precision],
    }


def _batch(network: Network, where: torch.device, batch: int, sizes: Sizes) -> Figures:
    side = sizes.size // sizes.scale
    window = torch.rand(batch, network.num_frames, 3, side, side, device=where)
    reset_peak(where)
    with autocast(where, True):
        seconds = statistics.median(times(where, lambda: network(window), sizes.rounds))
    return {"batch": batch, "frames_per_second": batch / seconds, "peak_mib": peak(where)}


def _way(way: str, network: Network, where: torch.device, sizes: Sizes) -> Figures:
    """bf16, one batch of windows at a time; what cannot be run says why."""
    side = sizes.size // sizes.scale
    # What cuDNN has chosen once for a size it keeps, and would not search for again.
    batch = sizes.batch + (way == SEARCHED)
    start = time.perf_counter()
    try:
        window = torch.rand(batch, network.num_frames, 3, side, side, device=where)
        with autocast(where, True):
            run = WAYS[way](deepcopy(network), window)
            run()
            synchronise(where)
            first = time.perf_counter() - start
            seconds = statistics.median(times(where, run, sizes.rounds))
    except Exception as error:  # a way that a machine has not must not cost the others
        return {"way": way, "error": said(error)}
    return {"way": way, "frames_per_second": batch / seconds, "first_seconds": first}


def table(figures: Figures) -> str:
    """The figures as Markdown tables."""
    rates = ", ".join(f"{p} {rate:.0f}" for p, rate in figures["matrix_tflops"].items())
    lines = [
        f"{figures['device']}, CUDA {figures['cuda']}; random matrices: {rates} TFLOP/s; "
        f"films of {figures['frames']} frames, batches of {figures['batch']}",
        "",
        "| variant | precision | `restore`, frames/s (min – max) | batched | × batched | TFLOP/s "
        "batched | of matrix rate | peak MiB | difference to fp32 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures["variants"]:
        ratio = row["frames_per_second"] / row["batched_frames_per_second"]
        lines.append(
            f"| {row['variant']} | {row['precision']} | {row['frames_per_second']:.0f} "
            f"({row['frames_per_second_min']:.0f} – {row['frames_per_second_max']:.0f}) "
            f"| {row['batched_frames_per_second']:.0f} | {ratio:.2f} | {row['tflops']:.1f} "
            f"| {row['share_of_matrix']:.0%} | {row['peak_mib']:.0f} "
            f"| {row['difference_to_fp32']:.1e} |"
        )
    for row in figures["reconstruction"]:
        lines.append(
            f"| R of {MAIN} alone | {row['precision']} | | {row['frames_per_second']:.0f} | "
            f"| {row['tflops']:.1f} | {row['share_of_matrix']:.0%} | | |"
        )
    lines += ["", f"required of R in bf16: ≥ {LEAST_SHARE:.0%} of the measured matrix rate", ""]
    lines += [f"| {MAIN}, bf16 | frames/s | the first batch, s |", "|---|---:|---:|"]
    for row in figures["ways"]:
        cells = f"not measured: {row['error']} | " if "error" in row else ""
        cells = cells or f"{row['frames_per_second']:.0f} | {row['first_seconds']:.1f}"
        lines.append(f"| {row['way']} | {cells} |")
    lines += ["", f"| windows of {MAIN} at once, bf16 | frames/s | peak MiB |", "|---:|---:|---:|"]
    for row in figures["batches"]:
        lines.append(f"| {row['batch']} | {row['frames_per_second']:.0f} | {row['peak_mib']:.0f} |")
    return "\n".join(lines)
