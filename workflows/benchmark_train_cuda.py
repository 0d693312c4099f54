"""Speed of training steps on a GPU: fp32, TF32 and bf16, eager and compiled, beside its peak."""

import argparse
import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from infra.engines import TorchEngine
from infra.settings_training import OptimiserSettings
from model.network import Network, build
from model.objectives import Restoration
from model.perceptual import FaceRecogniser

PRECISIONS = ("fp32", "tf32", "bf16")
MATRIX = 8192
Figures = dict[str, Any]


def measure(
    chosen: argparse.Namespace,
    variant: str,
    device: str = "cuda",
    compiled: tuple[bool, ...] = (False, True),
) -> list[Figures]:
    """A row for each precision, eager and compiled, on batches that lie on the device."""
    rows: list[Figures] = []
    for precision in PRECISIONS:
        for compile_it in compiled:
            row = {"precision": precision, "compiled": compile_it}
            rows.append(row | _row(chosen, variant, device, precision, compile_it))
    return rows


def _row(
    chosen: argparse.Namespace, variant: str, device: str, precision: str, compile_it: bool
) -> Figures:
    options = OptimiserSettings.model_validate(
        {"steps": 1, "batch_size": chosen.batch, "precision": precision, "compile": compile_it,
         "channels_last": True}
    )  # fmt: skip
    engine = TorchEngine(_objective(chosen, variant), options, device)
    low = chosen.size // chosen.scale
    batch = {
        "low": torch.randint(256, (chosen.batch, 25, low, low, 3), dtype=torch.uint8).to(device),
        "high": torch.randint(256, (chosen.batch, chosen.size, chosen.size, 3)).to(device).byte(),
    }
    # The first steps compile, choose algorithms and make the constants.
    losses = [float(engine.step(batch, 1e-4)["loss"]) for _ in range(3)]
    square = torch.rand(MATRIX, MATRIX, device=device)
    square = square.bfloat16() if precision == "bf16" else square
    steps, products = [], []
    for _ in range(chosen.rounds):
        steps.append(_seconds(device, lambda: _steps(engine, batch, chosen.steps)))
        products.append(_seconds(device, lambda: square @ square))
    flops = _flops(chosen, variant, batch)
    peak = 2 * MATRIX**3 / min(products) / 1e12
    found = flops * chosen.steps / statistics.median(steps) / 1e12
    return {
        "clips_per_second": chosen.batch * chosen.steps / statistics.median(steps),
        "tflops": found,
        "matrix_peak_tflops": peak,
        "share_of_peak": found / peak,
        "first_losses": losses,
    }


def _objective(chosen: argparse.Namespace, variant: str) -> Restoration:
    torch.manual_seed(0)
    network = build(variant, chosen.scale, chosen.size, chosen.width)
    assert isinstance(network, Network)
    judge = FaceRecogniser(identities=8, width=0.5 * chosen.width, input_size=64)
    return Restoration(network, network.num_frames, judge, {"pool3": 10.0, "pool4": 10.0})


def _flops(chosen: argparse.Namespace, variant: str, batch: dict[str, torch.Tensor]) -> int:
    """What one step multiplies and adds, forward and backward, as it is written."""
    objective = _objective(chosen, variant).to(batch["high"].device)
    with FlopCounterMode(display=False) as counter:
        objective(batch)["loss"].backward()
    return counter.get_total_flops()


def _steps(engine: TorchEngine, batch: dict[str, torch.Tensor], count: int) -> None:
    for _ in range(count):
        engine.step(batch, 1e-4)


def _seconds(device: str, call: Any) -> float:
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def table(variant: str, rows: list[Figures]) -> str:
    """The rows as a Markdown table."""
    eager = rows[0]["clips_per_second"]
    lines = [
        "",
        f"| {variant} on the GPU | clips/s | × fp32 eager | TFLOP/s | peak | of peak |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        way = f"{row['precision']}, {'compiled' if row['compiled'] else 'eager'}"
        lines.append(
            f"| {way} | {row['clips_per_second']:.0f} | {row['clips_per_second'] / eager:.2f} "
            f"| {row['tflops']:.1f} | {row['matrix_peak_tflops']:.0f} "
            f"| {row['share_of_peak']:.0%} |"
        )
    return "\n".join(lines)
