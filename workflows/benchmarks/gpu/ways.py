"""The ways to run a network on a GPU that the benchmark compares: each prepares a network for a
window and gives what is called again and again."""

from collections.abc import Callable

import torch
from torch import Tensor

from model.network import Network
from workflows.benchmarks.gpu.timing import searching

SEARCHED = "cuDNN searched"


def _eager(network: Network, window: Tensor) -> Callable[[], Tensor]:
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return lambda: network(window)


def _channels_last(network: Network, window: Tensor) -> Callable[[], Tensor]:
    return lambda: network(window)


def _searched(network: Network, window: Tensor) -> Callable[[], Tensor]:
    """cuDNN tries its algorithms on these very sizes and keeps the fastest."""

    def run() -> Tensor:
        with searching(True):
            return network(window)

    return run


def _compiled(network: Network, window: Tensor) -> Callable[[], Tensor]:
    # A figure of the eager network under this name would mislead.
    torch._dynamo.config.suppress_errors = False
    network.compile()
    return lambda: network(window)


def _graph(network: Network, window: Tensor) -> Callable[[], object]:
    """The launches recorded once, without compiling anything."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            network(window)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(window)
    return graph.replay


WAYS: dict[str, Callable[[Network, Tensor], Callable[[], object]]] = {
    "eager": _eager,
    "channels_last": _channels_last,
    SEARCHED: _searched,
    "CUDA graph": _graph,
    "compiled": _compiled,
}
