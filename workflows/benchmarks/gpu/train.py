"""Speed of training steps on a GPU: fp32, TF32 and bf16 and several ways, beside its peak."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from datasets.shards.reader import ShardReader, list_shards
from infra.progress import say
from infra.settings.optimiser import OptimiserSettings
from infra.training.optimiser_step import judge, lowered, on_device
from infra.training.torch_engine import TorchEngine
from workflows.benchmarks.gpu.network import SEARCHED
from workflows.benchmarks.gpu.timing import said, searching
from workflows.benchmarks.train_contenders import COLUMNS, Setting, objective

MATRIX = 8192
LEAST_GAIN, MOST_APART = 3.0, 0.02  # of bf16 over fp32 eager, and from its loss
LAST = 50  # steps whose mean loss is compared
REACHED = {True: "reached", False: "not reached"}
# Precision and way, the base of the comparison first; what may take a minute to compile last.
WAYS = (
    ("fp32", "eager"),
    ("bf16", "channels_last"),
    ("bf16", SEARCHED),
    ("tf32", "channels_last"),
    ("bf16", "eager"),
    ("bf16", "CUDA graph"),
    ("bf16", "compiled"),
)
Figures = dict[str, Any]
Save = Callable[[list[Figures]], None]


def measure(
    setting: Setting,
    device: str = "cuda",
    ways: Sequence[tuple[str, str]] = WAYS,
    save: Save = lambda _: None,
) -> list[Figures]:
    """A row for each way, on batches that lie on the device; a way that fails says why. `save` is
    given the rows that there are after each."""
    rows: list[Figures] = []
    for precision, way in ways:
        row: Figures = {"precision": precision, "way": way}
        try:
            row |= _row(setting, device, precision, way)
        except Exception as error:  # what a machine has not must not cost the other rows
            row["error"] = said(error)
        rows.append(row)
        said_of = row.get("error") or f"{row['clips_per_second']:.0f} clips/s"
        say("train", f"{setting.variant} on {device}, {precision}, {way}: {said_of}")
        save(rows)
    return rows


def _row(setting: Setting, device: str, precision: str, way: str) -> Figures:
    options = OptimiserSettings.model_validate(
        {"steps": 1, "batch_size": setting.batch, "precision": precision,
         "compile": way == "compiled", "channels_last": way != "eager"}
    )  # fmt: skip
    torch.manual_seed(0)
    if way == SEARCHED:  # what cuDNN has chosen once for a size it keeps
        setting = replace(setting, batch=setting.batch + 1)
    with searching(way == SEARCHED):
        return _measured(setting, options, device, way)


def _measured(setting: Setting, options: OptimiserSettings, device: str, way: str) -> Figures:
    precision = options.precision
    engine = TorchEngine(objective(setting), options, device)
    # A step that is not compiled would mislead under this name; training falls back.
    torch._dynamo.config.suppress_errors = False
    low, size = setting.size // setting.scale, setting.size
    shapes = {"low": (25, low, low, 3), "high": (size, size, 3)}
    batch = {
        name: torch.randint(256, (setting.batch, *shape), dtype=torch.uint8).to(device)
        for name, shape in shapes.items()
    }
    # The first steps compile, choose algorithms and make the constants.
    begun = time.perf_counter()
    losses = [float(engine.step(batch, 1e-4)["loss"]) for _ in range(3)]
    first = time.perf_counter() - begun
    step = _recorded(engine, batch) if way == "CUDA graph" else partial(engine.step, batch, 1e-4)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step()
    memory = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
    square = torch.rand(MATRIX, MATRIX, device=device)
    square = square.bfloat16() if precision == "bf16" else square
    steps, products = [], []
    for _ in range(setting.rounds):
        steps.append(_seconds(device, lambda: _steps(step, setting.steps)))
        products.append(_seconds(device, lambda: square @ square))
    flops = _flops(setting, batch)
    peak = 2 * MATRIX**3 / min(products) / 1e12
    found = flops * setting.steps / statistics.median(steps) / 1e12
    return {
        "clips_per_second": setting.batch * setting.steps / statistics.median(steps),
        "tflops": found,
        "matrix_peak_tflops": peak,
        "share_of_peak": found / peak,
        "peak_mib": memory,
        "first_seconds": first,
        "first_losses": losses,
    }


def _recorded(engine: TorchEngine, batch: dict[str, torch.Tensor]) -> Callable[[], object]:
    """A step whose forward and backward are recorded once and played back; Adam stays outside.

    What training would gain where launching is what takes the time; no training does it, since a
    clip's augmentation is drawn anew by the host.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            engine.step(batch, 1e-4)
    torch.cuda.current_stream().wait_stream(side)
    engine.optimiser.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        with lowered(engine.options.precision, engine.device):
            loss = engine.objective(batch)["loss"]
        loss.backward()

    def step() -> None:
        graph.replay()
        judge(engine.optimiser, engine.parameters, engine.options.clip_gradient)
        engine.optimiser.step()

    return step


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


def _steps(step: Callable[[], object], count: int) -> None:
    for _ in range(count):
        step()


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
    there = [row for row in rows if "error" not in row]
    eager = next((r["clips_per_second"] for r in there if r["precision"] == "fp32"), None)
    lines = [
        "",
        f"| {variant} on the GPU | clips/s | × fp32 eager | TFLOP/s | peak | of peak | MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        way = f"{row['precision']}, {row['way']}"
        if "error" in row:
            lines.append(f"| {way} | not measured: {row['error']} | | | | | |")
            continue
        times = f"{row['clips_per_second'] / eager:.2f}" if eager else "–"
        lines.append(
            f"| {way} | {row['clips_per_second']:.0f} | {times} "
            f"| {row['tflops']:.1f} | {row['matrix_peak_tflops']:.0f} "
            f"| {row['share_of_peak']:.0%} | {row['peak_mib']:.0f} |"
        )
    fast = [row["clips_per_second"] for row in there if row["precision"] == "bf16"]
    if not fast or not eager:
        return "\n".join(lines)
    gain = max(fast) / eager
    required = f"required of bf16: ≥ {LEAST_GAIN:g} × fp32 eager ({gain:.2f}, "
    required += f"{REACHED[gain >= LEAST_GAIN]})"
    if losses is not None:
        apart = losses["bf16"] / losses["fp32"] - 1
        required += f", loss within {MOST_APART:.0%} of that of fp32 ({apart:+.1%}, "
        required += f"{REACHED[abs(apart) <= MOST_APART]})"
    return "\n".join([*lines, "", required])
