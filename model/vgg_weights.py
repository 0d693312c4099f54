"""The layouts in which the published VGG-Face weights go round, read into one naming.

| file | names | filters | colours |
|---|---|---|---|
| MatConvNet `.mat` | `layers{i}.name` | H×W×in×out | RGB, as `averageImage` shows |
| `.pth`, from MatConvNet | `conv1_1.weight`, `fc6.weight` | out×in×H×W | RGB |
| `.pth`, from Torch | `conv_1_1.weight`, `fc6.weight` | out×in×H×W | BGR |
| `.pth`, from Torch, sequential | `0.weight`, `32.1.weight` | out×in×H×W | BGR |
| `.pth`, as torchvision | `features.0.weight`, `classifier.0.weight` | out×in×H×W | RGB |

The Torch and Caffe releases take their colours as BGR; their first filters are turned to RGB here,
and the channel means stay with their colours. Everything is returned as float32.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import Tensor

CONVOLUTIONS = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"),
)
CONVOLUTION_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
NAMES = (*CONVOLUTIONS, "fc6", "fc7", "fc8")


def read_matconvnet(path: Path) -> dict[str, Tensor]:
    """Read a MatConvNet `.mat` into out×in×H×W filters (fc: out×in), RGB; else ValueError."""
    try:
        content = scipy.io.loadmat(path)
    except NotImplementedError as error:
        raise ValueError(f"{path}: MATLAB 7.3 file; save it again with '-v7'") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not a MATLAB file ({error})") from error
    net = content["net"][0, 0] if "net" in content else content
    if "layers" not in _names(net):
        raise ValueError(f"{path}: no `layers`; expected the published vgg_face.mat")
    state: dict[str, Tensor] = {}
    for cell in net["layers"].ravel():
        layer = cell[0, 0]
        name = str(layer["name"].ravel()[0]) if "name" in _names(layer) else ""
        if name in NAMES:
            filters, biases = _filters(layer)
            turned = torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 2, 0, 1))).float()
            state[f"{name}.weight"] = turned.flatten(1) if name.startswith("fc") else turned
            state[f"{name}.bias"] = torch.from_numpy(biases.ravel().copy()).float()
    return _to_rgb(state) if _is_bgr(net) else state


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a PyTorch conversion (`weights_only=True`) into our names, RGB; else ValueError."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: not a state dict that loads safely ({error})") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: expected a state dict, got {type(state).__name__}")
    for naming, bgr in _namings():
        if f"{naming['conv1_1']}.weight" in state:
            renamed = {
                f"{ours}.{kind}": state[f"{theirs}.{kind}"].float()
                for ours, theirs in naming.items()
                for kind in ("weight", "bias")
                if f"{theirs}.{kind}" in state
            }
            return _to_rgb(renamed) if bgr else renamed
    raise ValueError(
        f"{path}: unknown names ({', '.join(list(state)[:3])}, …); expected conv1_1.weight, "
        "conv_1_1.weight, features.0.weight or 0.weight"
    )


def _namings() -> list[tuple[dict[str, str], bool]]:
    plain = {name: name for name in NAMES}
    dense = ("fc6", "fc7", "fc8")
    torch_names = {name: name.replace("conv", "conv_") for name in NAMES}
    places = dict(zip(CONVOLUTIONS, map(str, CONVOLUTION_PLACES), strict=True))
    sequential = {**places, **dict(zip(dense, ("32.1", "35.1", "38.1"), strict=True))}
    vision = {name: f"features.{place}" for name, place in places.items()}
    vision |= {name: f"classifier.{place}" for name, place in zip(dense, (0, 3, 6), strict=True)}
    return [(plain, False), (torch_names, True), (sequential, True), (vision, False)]


def _names(record: Any) -> tuple[str, ...]:
    return tuple(record) if isinstance(record, dict) else (record.dtype.names or ())


def _filters(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    # Before 2015 MatConvNet kept `filters` and `biases`; afterwards a cell `weights` of both.
    if "weights" in _names(layer):
        filters, biases = layer["weights"].ravel()[:2]
    else:
        filters, biases = layer["filters"], layer["biases"]
    # MATLAB drops trailing dimensions of 1.
    return filters.reshape(filters.shape + (1,) * (4 - filters.ndim)), biases


def _is_bgr(net: Any) -> bool:
    """The mean of red is the largest of the published means: where it stands tells the order."""
    record = net
    if "meta" in _names(record):
        record = record["meta"][0, 0]
    if "normalization" not in _names(record):
        return False
    normalization = record["normalization"][0, 0]
    if "averageImage" not in _names(normalization):
        return False
    mean = np.asarray(normalization["averageImage"], dtype=np.float64)
    if mean.size < 3:
        return False
    colours = mean.mean(axis=(0, 1)) if mean.ndim == 3 else mean.ravel()
    return bool(colours[0] < colours[-1])


def _to_rgb(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if "conv1_1.weight" in state:
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state
