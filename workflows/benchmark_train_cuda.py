"""Speed of training steps on a GPU: fp32, TF32 and bf16, eager and compiled, beside its peak."""

import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from infra.engines import TorchEngine
from infra.settings_training import OptimiserSettings
from workflows.benchmark_ways import Setting, objective

PRECISIONS = ("fp32", "tf32", "bf16")
MATRIX = 8192
Figures = dict[str, Any]


def measure(
    setting: Setting,
    device: str = "cuda",
    compiled: tuple[bool, ...] = (False, True),
) -> list[Figures]:
    """A row for each precision, eager and compiled, on batches that lie on the device."""
    rows: list[Figures] = []
    for precision in PRECISIONS:
        for compile_it in compiled:
            row = {"precision": precision, "compiled": compile_it}
            rows.append(row | _row(setting, device, precision, compile_it))
    return rows


def _row(setting: Setting, device: str, precision: str, compile_it: bool) -> Figures:
    options = OptimiserSettings.model_validate(
        {"steps": 1, "batch_size": setting.batch, "precision": precision, "compile": compile_it,
         "channels_last": True}
    )  # fmt: skip
    torch.manual_seed(0)
    engine = TorchEngine(objective(setting), options, device)
    low, size = setting.size // setting.scale, setting.size
    shapes = {"low": (25, low, low, 3), "high": (size, size, 3)}
    batch = {
        name: torch.randint(256, (setting.batch, *shape), dtype=torch.uint8).to(device)
        for name, shape in shapes.items()
    }
    # The first steps compile, choose algorithms and make the constants.
    losses = [float(engine.step(batch, 1e-4)["loss"]) for _ in range(3)]
    square = torch.rand(MATRIX, MATRIX, device=device)
    square = square.bfloat16() if precision == "bf16" else square
    steps, products = [], []
    for _ in range(setting.rounds):
        steps.append(_seconds(device, lambda: _steps(engine, batch, setting.steps)))
        products.append(_seconds(device, lambda: square @ square))
    flops = _flops(setting, batch)
    peak = 2 * MATRIX**3 / min(products) / 1e12
    found = flops * setting.steps / statistics.median(steps) / 1e12
    return {
        "clips_per_second": setting.batch * setting.steps / statistics.median(steps),
        "tflops": found,
        "matrix_peak_tflops": peak,
        "share_of_peak": found / peak,
        "first_losses": losses,
    }


def _flops(setting: Setting, batch: dict[str, torch.Tensor]) -> int:
    """What one step multiplies and adds, forward and backward, as it is written."""
    module = objective(setting).to(batch["high"].device)
    with FlopCounterMode(display=False) as counter:
        module(batch)["loss"].backward()
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
