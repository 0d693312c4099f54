"""How fast the networks restore: workflows/benchmark_cuda.py."""

from workflows import benchmark_cuda
from workflows.bare_gpu.steps import Figures, Given, Save


def run(given: Given, save: Save) -> Figures:
    """All variants, precisions, ways and batches."""
    sizes = benchmark_cuda.TINY if given.tiny else benchmark_cuda.Sizes()
    return benchmark_cuda.measure(given.device, sizes, save)


def table(figures: Figures) -> str:
    """As the benchmark shows them."""
    return benchmark_cuda.table(figures)
