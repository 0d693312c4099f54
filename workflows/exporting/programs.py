"""The programs that a network becomes, `torch.export`'s and ONNX: whole windows in, faces out.

Streaming (model/streaming.py), which computes once what windows share, is in neither.

Suffixes: B batch, T frames, h low pixels, S high pixels.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor
from torch.export import ExportedProgram

from infra.errors import InputError
from model.network import Network

TORCH, ONNX = "network.pt2", "network.onnx"
INPUT, OUTPUT = "low", "high"
BATCH = "batch"  # the name of its axis
OPSET = 18  # the first that torch writes without converting; sampling at given places came with 16
BATCHES = (1, 3)  # compared
CLOSE = 1e-4  # most that a program may be from the network, of values in [0, 1]

Run = Callable[[Tensor], Tensor]


def exported(network: Network) -> ExportedProgram:
    """The forward pass B×T×3×h×h → B×3×S×S of a network on the CPU, for any B."""
    low = _windows(network, 2)
    with _quiet(), torch.no_grad():
        # Constants that a first call makes and keeps must not be made while the graph is drawn.
        network(low)
        program = torch.export.export(
            network, (low,), dynamic_shapes={INPUT: {0: torch.export.Dim(BATCH, min=1)}}
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def write_torch(program: ExportedProgram, path: Path) -> None:
    """Write a .pt2 file, which needs PyTorch and none of our code."""
    with _quiet():
        torch.export.save(program, path)


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write an .onnx file whose weights are in it; torch needs the package onnxscript for it."""
    with _quiet():
        torch.onnx.export(
            program, f=path, dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
            input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes={INPUT: {0: BATCH}},
        )  # fmt: skip


def run_torch(path: Path) -> Run:
    """The function B×T×3×h×h → B×3×S×S that a .pt2 file holds."""
    with _quiet():
        module = torch.export.load(path).module()

    def run(low: Tensor) -> Tensor:
        image: Tensor = module(low)
        return image

    return run


def run_onnx(path: Path) -> Run:
    """The function B×T×3×h×h → B×3×S×S that an .onnx file holds, by onnxruntime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return lambda low: torch.from_numpy(session.run([OUTPUT], {INPUT: low.numpy()})[0])


@torch.no_grad()
def compare(network: Network, run: Run, name: str) -> float:
    """The largest difference of a program from the network, on drawn windows, alone and together;
    raises InputError where it is more than CLOSE, or no number."""
    apart = 0.0
    for count in BATCHES:
        low = _windows(network, count)
        apart = max(apart, float((run(low) - network(low)).abs().max().nan_to_num(torch.inf)))
    if apart > CLOSE:
        raise InputError(
            f"{name}: {apart:.1e} from the network {network.variant}, expected {CLOSE:.0e} at "
            "most; are its weights finite? Nothing was written"
        )
    return apart


def _windows(network: Network, count: int) -> Tensor:
    side = network.size // network.scale
    shape = (count, network.num_frames, 3, side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(count))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch has to say of its own parts: an outdated call, packages it looked for."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
