"""What is there: card, driver, versions, and the ceilings for all later figures."""

import os
import platform
import subprocess
from typing import Any

from workflows.bare_gpu.step import Figures, Given, Save

QUERY = "name,driver_version,memory.total,memory.used,clocks.max.sm,power.limit,pstate"
COPIED = 1 << 30  # bytes, read and written


def run(given: Given, save: Save) -> Figures:
    """Read it off, then measure products of matrices and a copy."""
    import torch

    from infra.provenance import commit, versions
    from workflows.benchmarks.gpu.timing import PRECISIONS, matrix_tflops, synchronise

    where = torch.device(given.device)
    found: Figures = {
        "versions": {**versions(), "cuda": torch.version.cuda},
        "commit": commit(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "card": "none",
    }
    if given.cuda:
        card = torch.cuda.get_device_properties(where)
        found |= {"card": card.name, "multiprocessors": card.multi_processor_count,
                  "memory_mib": card.total_memory >> 20, "smi": _smi()}  # fmt: skip
    save(found)
    side = 512 if given.tiny else 8192
    found["matrix_tflops"] = {p: matrix_tflops(where, p, side) for p in PRECISIONS}
    block = torch.rand((COPIED >> (8 if given.tiny else 0)) // 4, device=where)
    other = torch.empty_like(block)
    found["copy_gb_per_second"] = _copy(block, other, lambda: synchronise(where))
    return found


def _copy(block: Any, other: Any, wait: Any) -> float:
    """Bytes read plus bytes written in a second, the best of ten copies."""
    import time

    best = float("inf")
    for _ in range(11):  # the first makes the pages
        wait()
        begun = time.perf_counter()
        other.copy_(block)
        wait()
        best = min(best, time.perf_counter() - begun)
    return 2 * block.nbytes / best / 1e9


def _smi() -> dict[str, str]:
    call = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        said = subprocess.run(call, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi": f"{type(error).__name__}: {error}"}
    values = [value.strip() for value in said.splitlines()[0].split(",")]
    return dict(zip(QUERY.split(","), values, strict=False))


def table(figures: Figures) -> str:
    """As a list."""
    plain = {key: value for key, value in figures.items() if not isinstance(value, dict)}
    lines = [f"- {key.replace('_', ' ')}: {value}" for key, value in plain.items()]
    for key in ("versions", "smi", "matrix_tflops"):
        if key in figures:
            parts = (
                f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
                for name, value in figures[key].items()
            )
            lines.append(f"- {key.replace('_', ' ')}: {', '.join(parts)}")
    return "\n".join(lines)
