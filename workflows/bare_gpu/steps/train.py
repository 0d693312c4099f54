"""How fast the networks train: workflows/benchmarks/gpu/train.py, the loop beside a bare one, and
the loss in bf16 beside that in fp32."""

from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from workflows.bare_gpu.step import Figures, Given, Save
from workflows.benchmarks import train
from workflows.benchmarks.gpu import train as on_gpu
from workflows.benchmarks.train_contenders import Setting

MAIN, OTHERS = "f25warp", ("f5warp", "f1")
FEW_WAYS = (("fp32", "eager"), ("bf16", "channels_last"))
LOSS_STEPS = 300


def run(given: Given, save: Save) -> Figures:
    """Most important first."""
    size, scale, batch = (32, 4, 4) if given.tiny else (128, 8, 32)
    if given.tiny:
        on_gpu.MATRIX = 256
    main = OTHERS[0] if given.tiny else MAIN
    found: Figures = {"size": size, "batch": batch, "variants": {}, "losses": {}, "loop": {}}
    with TemporaryDirectory(prefix="facestack-speed-") as folder:
        train.write_shards(folder, size, scale)
        setting = Setting(
            folder, main, size, scale, 0.25 if given.tiny else 1.0, batch, threads=1,
            steps=1 if given.tiny else 10, rounds=1 if given.tiny else 5,
        )  # fmt: skip

        def keep(variant: str, rows: list[Any]) -> None:
            found["variants"][variant] = list(rows)
            save(found)

        first, last = on_gpu.WAYS[:-1], on_gpu.WAYS[-1:]
        others = [name for name in OTHERS if name != main]
        for variant, ways in ((main, first), *((other, FEW_WAYS) for other in others)):
            on_gpu.measure(
                replace(setting, variant=variant), given.device, ways,
                partial(keep, variant),
            )  # fmt: skip
        steps = 4 if given.tiny else LOSS_STEPS
        small = replace(setting, variant="f5warp", batch=min(10, batch))
        found["losses"]["f5warp"] = on_gpu.last_losses(small, steps, given.device)
        save(found)
        found["loop"] = train.compared(replace(setting, variant="f5warp"), [])
        save(found)
        rows_so_far = found["variants"][main]
        on_gpu.measure(setting, given.device, last, lambda rows: keep(main, [*rows_so_far, *rows]))
    return found


def table(figures: Figures) -> str:
    """As the benchmark shows them."""
    lines = [
        f"{figures['size']} px, batches of {figures['batch']}, pool3 and pool4 of a recogniser"
    ]
    for variant, rows in figures["variants"].items():
        losses = figures["losses"].get(variant)
        lines.append(on_gpu.table(variant, rows, losses))
    if figures["loop"]:
        row = figures["loop"]["loop"]
        said = (
            f"The training loop from shards: {row['times_plain']:.2f} × a bare loop over batches "
        )
        said += f"in memory ({row['clips_per_second']:.0f} clips/s, fp32, f5warp), loader waiting "
        lines += ["", said + f"{row['waiting']:.1%}"]
    return "\n".join(lines)
