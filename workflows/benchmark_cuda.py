"""Speed of `restore` on a GPU: frames/s in fp32, TF32 and bf16, beside the GPU's matrix peak."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch

from model.network import Network
from model.streaming import restore

PRECISIONS = ("fp32", "tf32", "bf16")
# Long enough for whole batches, which is how a film runs.
LEAST_FRAMES = 256
BATCH = 32
MATRIX = 8192
Figures = dict[str, Any]


def measure(network: Network, frames: int, rounds: int, gmac: float) -> Figures:
    """Measure on the first CUDA device; `gmac` an output frame of the network, as it is written."""
    device = torch.device("cuda", 0)
    on_gpu = deepcopy(network).to(device)
    side = network.size // network.scale
    film = torch.rand(max(frames, LEAST_FRAMES), 3, side, side, device=device)
    exact = None
    rows = []
    for precision in PRECISIONS:
        bf16 = precision == "bf16"
        with _float32_as("tf32" if precision == "tf32" else "ieee"):
            restored = restore(on_gpu, film, BATCH, bf16)
            exact = restored if exact is None else exact
            square = torch.rand(MATRIX, MATRIX, device=device)
            square = square.bfloat16() if bf16 else square
            _seconds(torch.matmul, square, square)
            times, products = [], []
            for _ in range(rounds):
                times.append(_seconds(restore, on_gpu, film, BATCH, bf16))
                products.append(_seconds(torch.matmul, square, square))
        a_second = len(film) / statistics.median(times)
        peak = 2 * MATRIX**3 / min(products) / 1e12
        rows.append(
            {
                "precision": precision,
                "frames_per_second": a_second,
                "frames_per_second_min": len(film) / max(times),
                "frames_per_second_max": len(film) / min(times),
                "tflops": 2 * gmac * a_second / 1e3,
                "matrix_peak_tflops": peak,
                "share_of_peak": 2 * gmac * a_second / 1e3 / peak,
                "difference_to_fp32": float((restored - exact).abs().max()),
            }
        )
    return {
        "device": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "frames": len(film),
        "batch": BATCH,
        "rows": rows,
    }


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"restore on {figures['device']}, CUDA {figures['cuda']}, {figures['frames']} frames, "
        f"batches of {figures['batch']}; peak: {MATRIX}×{MATRIX} matrices of the same precision",
        "",
        "| precision | frames/s (min – max) | TFLOP/s | peak | of peak | difference to fp32 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['precision']} | {row['frames_per_second']:.0f} "
            f"({row['frames_per_second_min']:.0f} – {row['frames_per_second_max']:.0f}) "
            f"| {row['tflops']:.1f} | {row['matrix_peak_tflops']:.0f} "
            f"| {row['share_of_peak']:.0%} | {row['difference_to_fp32']:.1e} |"
        )
    return "\n".join(lines)


def _seconds(call: Callable[..., object], *given: object) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    call(*given)
    torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def _float32_as(precision: str) -> Iterator[None]:
    """Products of float32 matrices and convolutions as `ieee` or `tf32`, and as before after."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = precision
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
