"""Every variant as a program of PyTorch and as ONNX does what the network does."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from infra.errors import InputError
from model.network import Network, build
from tests.support.root import ROOT
from workflows.exporting import programs

LACKS = "torch's ONNX exporter needs the package onnxscript"
# Tracing takes seconds a network, so all but the smallest are of the tier that takes longer.
OTHERS = [(variant, 4, 32) for variant in ("f5", "f25", "f5warp", "f25warp", "linear5warp")]
OTHERS += [("f1", 4, 128), ("f5warp", 8, 64)]


def drawn(variant: str, scale: int = 4, size: int = 32, frame_step: int = 1) -> Network:
    """A narrow network all of whose parts have a say: as built, P moves nothing and F draws
    nothing."""
    network = build(variant, scale, size, 0.25, "kaiming", frame_step)
    assert isinstance(network, Network)
    network = network.eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if name.startswith("predictor.last") or ".drawing.6" in name:
            nn.init.normal_(value, std=0.05)
        elif name == "reconstruction.kernels":
            value += 0.005 * torch.randn_like(value)
    if network.predictor is not None:
        shifts = network.predicted_shifts(windows(network, 1))
        assert shifts.abs().max() > 4 / size  # two pixels
    return network


def windows(network: Network, count: int) -> Tensor:
    side = network.size // network.scale
    return torch.rand(count, network.num_frames, 3, side, side)


def same(network: Network, run: programs.Run, most: float) -> None:
    """On windows other than those that the command compares, of one and of three."""
    for count in (1, 3):
        low = windows(network, count)
        expected = network(low)
        assert expected.std() > 0.01
        assert run(low).shape == (count, 3, network.size, network.size)
        assert (run(low) - expected).abs().max() <= most


@pytest.mark.parametrize(
    ("variant", "scale", "size"),
    [("f1", 4, 32), *(pytest.param(*one, marks=pytest.mark.integration) for one in OTHERS)],
)
def test_both_programs_do_what_the_network_does(
    variant: str, scale: int, size: int, tmp_path: Path
) -> None:
    network = drawn(variant, scale, size)
    program = programs.exported(network)
    programs.write_torch(program, path := tmp_path / programs.TORCH)
    same(network, programs.run_torch(path), 1e-6)
    assert str(ROOT).encode() not in path.read_bytes()
    pytest.importorskip("onnxscript", reason=LACKS)
    programs.write_onnx(program, path := tmp_path / programs.ONNX)
    same(network, programs.run_onnx(path), 1e-4)
    assert str(ROOT).encode() not in path.read_bytes()
    graph = onnx.load(path).graph
    ends = [(end.name, shape(end)) for end in (*graph.input, *graph.output)]
    side = size // scale
    assert ends == [
        ("low", ["batch", network.num_frames, 3, side, side]),
        ("high", ["batch", 3, size, size]),
    ]


def shape(end: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in end.type.tensor_type.shape.dim]


def test_a_program_that_does_something_else_is_refused() -> None:
    network = drawn("f1")
    assert programs.compare(network, network, "itself") == 0
    assert programs.compare(network, lambda low: network(low) + 5e-5, "near") > 4e-5
    with pytest.raises(InputError, match=r"off: 2.0e-04 from the network f1"):
        programs.compare(network, lambda low: network(low) + 2e-4, "off")
    with pytest.raises(InputError, match="are its weights finite"):
        programs.compare(network, lambda low: network(low) * torch.nan, "off")
