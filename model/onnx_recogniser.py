"""An independent judge of identity: any face recogniser in the ONNX format, by onnxruntime.

The networks are trained against the features of the run's own recogniser, so its verdict on them is
not impartial. Suffixes: B batch, s input side, D descriptor length.
"""

import os
from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from infra.text import one_line


class Judge:
    """An ONNX face recogniser: one input of B×3×s×s or B×s×s×3, its first output the descriptor.

    A picture is resized to `input_size` (bilinear, antialiased); the network sees
    (levels 0-255 - `mean`) · `scale`, with the channels and `mean` in the order `channels`. Raises
    ValueError for a file that onnxruntime cannot load or an input that is not such a batch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        input_size: int = 112,
        channels: str = "RGB",
        mean: Sequence[float] = (127.5, 127.5, 127.5),
        scale: float = 1 / 127.5,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors only; a CPU without some feature is no news
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self.session = onnxruntime.InferenceSession(os.fspath(path), options, providers)
        except Exception as error:  # onnxruntime's own classes have no common public base
            reason = one_line(error, 200)
            raise ValueError(f"{path}: onnxruntime cannot load it ({reason})") from error
        inputs = self.session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise ValueError(f"{path}: expected one input B×3×s×s or B×s×s×3, it has {found}")
        self.channels_first = shape[1] == 3
        side = shape[2]  # a name or None where any side will do
        if isinstance(side, int) and side != input_size:
            raise ValueError(f"{path}: takes {side}×{side} pixels, not {input_size}×{input_size}")
        self.name, self.path = inputs[0].name, path
        self.one_by_one = shape[0] == 1  # exported for a single picture
        self.input_size, self.channels, self.scale = input_size, channels, scale
        self.mean = torch.tensor(mean, dtype=torch.float32).view(3, 1, 1)

    def describe(self, images: Tensor) -> NDArray[np.float32]:
        """B×3×H×W RGB in [0, 1] → B×D descriptors of unit length; raises ValueError where the
        output is not one row a picture."""
        side = (self.input_size, self.input_size)
        resized = functional.interpolate(
            images.float(), side, mode="bilinear", align_corners=False, antialias=True
        )
        if self.channels == "BGR":
            resized = resized.flip(1)
        given = (resized * 255 - self.mean) * self.scale
        if not self.channels_first:
            given = given.permute(0, 2, 3, 1)
        parts = given.split(1) if self.one_by_one else (given,)
        found = np.concatenate(
            [self.session.run(None, {self.name: np.ascontiguousarray(p.numpy())})[0] for p in parts]
        )
        if len(found) != len(images):
            raise ValueError(
                f"{self.path}: its first output is {found.shape} for {len(images)} pictures, "
                "expected one descriptor each"
            )
        rows = torch.from_numpy(found.reshape(len(found), -1)).float()
        return functional.normalize(rows, dim=1).numpy()
