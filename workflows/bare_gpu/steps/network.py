"""How fast the networks restore: workflows/benchmarks/gpu/network.py."""

from workflows.bare_gpu.step import Figures, Given, Save
from workflows.benchmarks.gpu import network


def run(given: Given, save: Save) -> Figures:
    """All variants, precisions, ways and batches."""
    sizes = network.TINY if given.tiny else network.Sizes()
    return network.measure(given.device, sizes, save)


def table(figures: Figures) -> str:
    """As the benchmark shows them."""
    return network.table(figures)
