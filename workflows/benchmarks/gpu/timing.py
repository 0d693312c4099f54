"""What a GPU is timed with: waiting for it, its own ceiling, its memory, how it multiplies."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

PRECISIONS = ("fp32", "tf32", "bf16")


def matrix_tflops(where: torch.device, precision: str, side: int) -> float:
    """The rate of a product of random matrices: the ceiling of the device as it is found."""
    with float32_as("tf32" if precision == "tf32" else "ieee"):
        square = torch.rand(side, side, device=where)
        square = square.bfloat16() if precision == "bf16" else square
        return 2 * side**3 / min(times(where, lambda: square @ square, 5)) / 1e12


def said(error: Exception) -> str:
    """An error in a cell of a table."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:160]}".replace("|", "/")


def times(where: torch.device, call: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of some calls, after one to warm up."""
    call()
    found = []
    for _ in range(rounds):
        synchronise(where)
        start = time.perf_counter()
        call()
        synchronise(where)
        found.append(time.perf_counter() - start)
    return found


def synchronise(where: torch.device) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def reset_peak(where: torch.device) -> None:
    """Count the peak of a GPU's memory from here on."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)


def peak(where: torch.device) -> float:
    """The peak of a GPU's memory since, in MiB; 0 of a CPU."""
    return torch.cuda.max_memory_allocated(where) / 2**20 if where.type == "cuda" else 0.0


def autocast(where: torch.device, bf16: bool) -> torch.autocast:
    """Autocast to bf16, or none."""
    return torch.autocast(where.type, torch.bfloat16, enabled=bf16)


@contextmanager
def searching(wanted: bool) -> Iterator[None]:
    """Whether cuDNN tries its algorithms on each size that it meets; as before after."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, wanted
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def float32_as(precision: str) -> Iterator[None]:
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
