"""A recogniser in the ONNX format, small enough to be computed by hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save


def matrix() -> NDArray[np.float32]:
    """The 48×5 weights of the file that `write` makes."""
    return np.random.default_rng(0).normal(size=(48, 5)).astype(np.float32)


def write(path: Path, shape: list[object]) -> Path:
    """Write a network that flattens its 3·4·4 input of `shape` and multiplies it by `matrix()`."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(matrix(), "w")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
