"""Speed of f25warp, ×8 from 16×16 to 128×128, an output frame: naive, batched, streamed.

    naive     a loop over the other frames, each with its own F, P, spline solve and sampling
    batched   `Network.forward` on batches of windows, the spline as one constant matrix
    restore   model/streaming.py: the work on a frame done once, large convolutions as transforms

All in one run and in turn, so that a busy or throttled machine slows them alike. On one thread the
ratios and GFLOP/s are of processor time, which other programs do not take away; on more, of the
clock. GMAC is what each way really multiplies, by PyTorch's counter as in model/complexity.py.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from infra.errors import SettingsError
from infra.progress import say
from model.complexity import count
from model.layers.warping import warp
from model.network import Network, build
from model.streaming import restore
from model.thin_plate_spline import control_points, pixel_centres
from workflows.benchmarks.gpu import network as on_gpu

SCALE, SIZE = 8, 128
VARIANT = "f25warp"
WINDOWS = 4  # in a batched forward
FRAMES = {"naive": 2, "batched": 16}  # of the film, at most, in a round of the slower ways
SGEMM = 2048
TOLERANCE = 1e-5
Way = Callable[[Tensor], Tensor]
Times = dict[str, list[float]]
Figures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py network`."""
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (1)")
    parser.add_argument("--frames", type=int, default=48, help="length of the film (48)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way (5)")


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure all ways; raises SettingsError for a number below 1."""
    for name in ("threads", "frames", "rounds"):
        if getattr(chosen, name) < 1:
            raise SettingsError(f"--{name}: expected at least 1, got {getattr(chosen, name)}")
    before = torch.get_num_threads()
    torch.set_num_threads(chosen.threads)
    try:
        with torch.no_grad():
            return _measured(chosen.threads, chosen.frames, chosen.rounds)
    finally:
        torch.set_num_threads(before)


def _measured(threads: int, frames: int, rounds: int) -> Figures:
    network = prepared()
    film = torch.rand(frames, 3, SIZE // SCALE, SIZE // SCALE)
    ways: dict[str, tuple[Way, Tensor]] = {
        "naive": (lambda given: naive(network, film, len(given)), film[: FRAMES["naive"]]),
        "batched": (lambda given: batched(network, film, len(given)), film[: FRAMES["batched"]]),
        "restore": (lambda given: restore(network, given), film),
    }
    results, gmac = {}, {}
    for name, (way, given) in ways.items():
        say("network", f"{name}: {len(given)} frames once, to compare")
        way(given[:1])  # fills the constants that are computed once a process
        with FlopCounterMode(display=False) as counter:
            results[name] = way(given)
        gmac[name] = counter.get_total_flops() / 2e9 / len(given)
    clock: Times = {name: [] for name in (*ways, "sgemm")}
    busy: Times = {name: [] for name in (*ways, "sgemm")}
    square = torch.rand(SGEMM, SGEMM)
    for number in range(1, rounds + 1):
        for name, (way, given) in (*ways.items(), ("sgemm", (lambda a: a @ a, square))):
            times = _timed(way, given)
            share = 1 if name == "sgemm" else len(given)
            clock[name].append(times[0] / share)
            busy[name].append(times[1] / share)
            each = f"{1e3 * clock[name][-1]:.0f} ms" + ("" if name == "sgemm" else " a frame")
            say("network", f"round {number}/{rounds}: {name} {each}")
    counted = busy if threads == 1 else clock
    peak = 2 * SGEMM**3 / min(counted["sgemm"]) / 1e9
    rows = [_row(name, clock, busy, counted, gmac[name], peak) for name in ways]
    return {
        "benchmark": "network",
        "variant": f"{VARIANT}, ×{SCALE} to {SIZE}×{SIZE}",
        "machine": machine(threads),
        "frames": frames,
        "rounds": rounds,
        "ratios_of": "processor time" if threads == 1 else "clock",
        "network_gmac": count(VARIANT, SCALE, SIZE)[1],
        "sgemm_peak_gflops": peak,
        "rows": rows,
        "differences": _differences(results),
        "cuda": on_gpu.measure("cuda", on_gpu.Sizes(rounds=rounds))
        if torch.cuda.is_available()
        else None,
    }


def prepared() -> Network:
    """The network with random weights (untrained, P ends in zeros and R shows the centre alone)."""
    torch.manual_seed(0)
    network = build(VARIANT, SCALE, SIZE, start="kaiming").eval()
    assert isinstance(network, Network) and network.predictor is not None
    nn.init.normal_(network.predictor.last.weight, std=0.003)
    return network


def naive(network: Network, film: Tensor, frames: int) -> Tensor:
    """The first frames of a film N×3×h×h one by one, neighbour by neighbour → frames×3×S×S."""
    assert network.adjacent is not None and network.predictor is not None
    restored = []
    for middle in range(frames):
        window = _window(film, middle, network.radius)
        centre = window[network.radius : network.radius + 1]
        stack = []
        for place, frame in enumerate(window.split(1)):
            if place == network.radius:
                stack.append(network.central(frame))
                continue
            shifts = network.predictor(centre, frame)
            stack.append(warp(network.adjacent(frame), _solved_field(shifts[0])))
        restored.append(network.reconstruction(torch.cat(stack, dim=1)))
    return torch.cat(restored)


def batched(network: Network, film: Tensor, frames: int) -> Tensor:
    """The same through the network's forward, some windows at a time."""
    windows = [_window(film, middle, network.radius) for middle in range(frames)]
    batches = [windows[first : first + WINDOWS] for first in range(0, len(windows), WINDOWS)]
    return torch.cat([network(torch.stack(batch)) for batch in batches])


def _window(film: Tensor, middle: int, radius: int) -> Tensor:
    return film[torch.arange(middle - radius, middle + radius + 1).clamp(0, len(film) - 1)]


def _solved_field(shifts_K2: Tensor) -> Tensor:
    """The grid 1×S×S×2 of one frame: solve for the spline's coefficients, then evaluate it."""
    controls, points = control_points(), pixel_centres(SIZE, SIZE)
    count = len(controls)
    system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    system[:count] = _basis(controls, controls)
    system[count:, :count] = system[:count, count:].T
    wanted = torch.cat((shifts_K2.double(), torch.zeros(3, 2, dtype=torch.float64)))
    moved = _basis(points, controls) @ torch.linalg.solve(system, wanted)
    return (points + moved).float().view(1, SIZE, SIZE, 2)


def _basis(points_N2: Tensor, controls_K2: Tensor) -> Tensor:
    x, y = (points_N2[:, None, axis] - controls_K2[:, axis] for axis in (0, 1))
    square = x * x + y * y
    ones = torch.ones_like(points_N2[:, :1])
    return torch.cat((0.5 * torch.xlogy(square, square), ones, points_N2), dim=1)


def _timed(way: Way, given: Tensor) -> tuple[float, float]:
    """Seconds of the clock and of the processors."""
    clock, busy = time.perf_counter(), time.process_time()
    way(given)
    return time.perf_counter() - clock, time.process_time() - busy


def _row(name: str, clock: Times, busy: Times, counted: Times, gmac: float, peak: float) -> Figures:
    gflops = 2 * gmac / statistics.median(counted[name])
    return {
        "way": name,
        "ms": 1e3 * statistics.median(clock[name]),
        "ms_min": 1e3 * min(clock[name]),
        "ms_max": 1e3 * max(clock[name]),
        "cpu_ms": 1e3 * statistics.median(busy[name]),
        "times_naive": _ratio(counted["naive"], counted[name]),
        "times_batched": _ratio(counted["batched"], counted[name]),
        "gmac": gmac,
        "gflops": gflops,
        "share_of_peak": gflops / peak,
    }


def _ratio(slow: list[float], fast: list[float]) -> float:
    # Round by round, since the two of a round ran side by side.
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def _differences(results: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference of two ways over the frames that both restored."""
    pairs = (("naive", "batched"), ("naive", "restore"), ("batched", "restore"))
    found = {}
    for one, other in pairs:
        pairwise = zip(results[one], results[other], strict=False)
        found[f"{one} - {other}"] = max(float((a - b).abs().max()) for a, b in pairwise)
    return found


def machine(threads: int) -> Figures:
    """What the figures were measured on."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "threads": threads,
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def problem(figures: Figures) -> str:
    """Say if the ways differ by more than 1e-5; else empty."""
    worst = max(figures["differences"].values())
    return "" if worst <= TOLERANCE else f"the ways differ by {worst:.1e}, above {TOLERANCE:.0e}"


def table(figures: Figures) -> str:
    """The figures as a Markdown table with the machine above and the agreement below."""
    facts = figures["machine"]
    lines = [
        f"{figures['variant']}: {figures['network_gmac']:.2f} GMAC an output frame",
        f"{facts['cpu']} ({facts['capability']}), {facts['cores']} cores, load {facts['load']}; "
        f"threads {facts['threads']}; torch {facts['torch']}; "
        f"{figures['frames']} frames ({FRAMES['naive']} naive, {FRAMES['batched']} batched), "
        f"{figures['rounds']} rounds",
        f"sgemm {SGEMM}×{SGEMM}: {figures['sgemm_peak_gflops']:.0f} GFLOP/s at best; "
        f"ratios and GFLOP/s of {figures['ratios_of']}",
        "",
        "| way | ms a frame (min – max) | CPU ms | × naive | × batched "
        "| GMAC done | GFLOP/s | of peak |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['way']} | {row['ms']:.0f} ({row['ms_min']:.0f} – {row['ms_max']:.0f}) "
            f"| {row['cpu_ms']:.0f} | {row['times_naive']:.2f} | {row['times_batched']:.2f} "
            f"| {row['gmac']:.2f} | {row['gflops']:.0f} | {row['share_of_peak']:.0%} |"
        )
    differences = (f"{pair} {value:.1e}" for pair, value in figures["differences"].items())
    lines += ["", f"largest differences (at most {TOLERANCE:.0e}): {', '.join(differences)}", ""]
    if figures["cuda"] is None:
        lines.append("no CUDA device: frames/s in fp32, TF32 and bf16 not measured")
    else:
        lines.append(on_gpu.table(figures["cuda"]))
    return "\n".join(lines)
