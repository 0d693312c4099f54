"""Speed of training steps on a GPU: fp32, TF32 and bf16, eager and compiled, beside its peak."""

import statistics
import time
from itertools import islice
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from datasets.reader import ShardReader, list_shards
from infra.engines import TorchEngine
from infra.settings_training import OptimiserSettings
from infra.updates import on_device
from workflows.benchmark_ways import COLUMNS, Setting, objective

PRECISIONS = ("fp32", "tf32", "bf16")
MATRIX = 8192
LEAST_GAIN, MOST_APART = 3.0, 0.02  # of bf16 over fp32 eager, and from its loss
LAST = 50  # steps whose mean loss is compared
REACHED = {True: "reached", False: "not reached"}
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


def last_losses(setting: Setting, steps: int, device: str = "cuda") -> dict[str, float]:
    """The loss at the end of so many steps on the clips, the same ones in fp32 and bf16."""
    found = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        options = OptimiserSettings.model_validate(
            {"steps": steps, "batch_size": setting.batch, "precision": precision}
        )
        engine = TorchEngine(objective(setting), options, device)
        reader = ShardReader(list_shards(f"{setting.folder}/clips"), setting.batch, 0, COLUMNS)
        losses = [
            engine.step(on_device(batch, engine.device), 1e-4)["loss"]
            for batch in islice(reader.batches(), steps)
        ]
        found[precision] = float(torch.stack(losses[-LAST:]).mean())
    return found


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


def table(variant: str, rows: list[Figures], losses: dict[str, float] | None = None) -> str:
    """The rows as a Markdown table, with what is required of bf16 below."""
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
    gain = max(r["clips_per_second"] for r in rows if r["precision"] == "bf16") / eager
    required = f"required of bf16: ≥ {LEAST_GAIN:g} × fp32 eager ({gain:.2f}, "
    required += f"{REACHED[gain >= LEAST_GAIN]})"
    if losses is not None:
        apart = losses["bf16"] / losses["fp32"] - 1
        required += f", loss within {MOST_APART:.0%} of that of fp32 ({apart:+.1%}, "
        required += f"{REACHED[abs(apart) <= MOST_APART]})"
    return "\n".join([*lines, "", required])
