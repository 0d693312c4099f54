"""The face recogniser VGG-16 of VGG-Face (Parkhi et al. 2015), for eq. (6) and verification.

Input is RGB in 0-255 less the published channel means. Layer names follow the published model, and
a name means the value after its ReLU (in the published Caffe model the ReLU overwrites its layer);
`fc8` has none. The descriptor is fc7 after ReLU at unit length, as the authors' demo extracts it.
No batch normalisation: the topology stays the published one at any `width`.

Suffixes: B batch.
"""

import hashlib
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.vgg_weights import read_matconvnet, read_state_dict
from model.weights import load_weights, save_weights

logger = logging.getLogger(__name__)

RECOGNISER_HEADER = ("identities", "width", "input_size", "fc_width")
CHANNEL_MEANS = (129.1863, 104.7624, 93.5940)
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
DENSE = ("fc6", "fc7", "fc8")
LAYERS = (
    *("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"),
    *("conv3_1", "conv3_2", "conv3_3", "pool3", "conv4_1", "conv4_2", "conv4_3", "pool4"),
    *("conv5_1", "conv5_2", "conv5_3", "pool5", *DENSE),
)


class FaceRecogniser(nn.Module):
    """VGG-16 with named layers; `width` multiplies all filters, `fc_width` is that of fc6 and fc7.

    `input_size` (a multiple of 32) is the side that fc6 is made for. Raises ValueError otherwise.
    """

    means: Tensor

    def __init__(
        self,
        identities: int = 2622,
        width: float = 1.0,
        input_size: int = 224,
        fc_width: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if input_size < 32 or input_size % 32:
            raise ValueError(f"input_size: expected a multiple of 32, got {input_size}")
        self.identities, self.width, self.input_size = identities, width, input_size
        self.fc_width = fc_width or round(4096 * width)
        self.dropout = dropout
        entering = 3
        for block, (filters, depth) in enumerate(BLOCKS, 1):
            for index in range(1, depth + 1):
                leaving = max(1, round(filters * width))
                self.add_module(f"conv{block}_{index}", nn.Conv2d(entering, leaving, 3, padding=1))
                entering = leaving
        self.fc6 = nn.Linear(entering * (input_size // 32) ** 2, self.fc_width)
        self.fc7 = nn.Linear(self.fc_width, self.fc_width)
        self.fc8 = nn.Linear(self.fc_width, identities)
        self.register_buffer("means", torch.tensor(CHANNEL_MEANS).view(3, 1, 1), persistent=False)
        self._start()

    def preprocess(self, images: Tensor, input_size: int | None = None) -> Tensor:
        """B×3×H×W RGB in [0, 1] → B×3×s×s in 0-255 less the means; bilinear, antialiased."""
        side = input_size or self.input_size
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: expected B×3×H×W RGB, got {tuple(images.shape)}")
        if images.shape[-2:] != (side, side):
            images = functional.interpolate(
                images.float(), (side, side), mode="bilinear", align_corners=False, antialias=True
            )
        return (images * 255 - self.means).to(self.fc8.weight.dtype)

    def forward_to(
        self, images: Tensor, layers: Collection[str], input_size: int | None = None
    ) -> dict[str, Tensor]:
        """Features of the named layers of B×3×H×W images in [0, 1], no deeper than the deepest.

        `input_size` other than the module's own serves the convolutional layers only. Raises
        ValueError for an unknown layer, or fc6 and beyond at another input size.
        """
        wanted = set(layers)
        if unknown := wanted - set(LAYERS):
            raise ValueError(f"layers: no {', '.join(sorted(unknown))}; there are {LAYERS}")
        if wanted & set(DENSE) and input_size not in (None, self.input_size):
            raise ValueError(
                f"input_size: fc6 and beyond take {self.input_size} pixels, got {input_size}; "
                "other sizes serve conv and pool layers only"
            )
        kept: dict[str, Tensor] = {}
        maps = self.preprocess(images, input_size)
        for name in LAYERS:
            if len(kept) == len(wanted):
                break
            maps = self._step(name, maps)
            if name in wanted:
                kept[name] = maps
        return kept

    def forward(self, images: Tensor) -> Tensor:
        """B×3×H×W in [0, 1] → B×identities scores (logits)."""
        return self.forward_to(images, {"fc8"})["fc8"]

    def descriptor(self, images: Tensor) -> Tensor:
        """B×3×H×W in [0, 1] → B×fc_width descriptors of unit length (fc7 after ReLU)."""
        return functional.normalize(self.forward_to(images, {"fc7"})["fc7"].float(), dim=1)

    def description(self) -> dict[str, str]:
        """What is needed to make this module again, as text."""
        return {
            "identities": str(self.identities),
            "width": str(self.width),
            "input_size": str(self.input_size),
            "fc_width": str(self.fc_width),
        }

    def _step(self, name: str, maps: Tensor) -> Tensor:
        if name.startswith("pool"):
            return functional.max_pool2d(maps, 2)
        layer = self.get_submodule(name)
        if name == "fc6":
            maps = maps.flatten(1)
        if name in ("fc7", "fc8") and self.dropout:
            maps = functional.dropout(maps, self.dropout, self.training)
        maps = layer(maps)
        return maps if name == "fc8" else torch.relu(maps)

    def _start(self) -> None:
        for name in LAYERS:
            if name.startswith("pool"):
                continue
            layer = self.get_submodule(name)
            assert isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None
            # He's gain keeps the variance over the sixteen layers; there is no normalisation to
            # repair it.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            # The input spans about ±60 (0-255 less the mean): brought to unit scale here, and the
            # scores start small so that the first loss is log(identities).
            self.get_submodule("conv1_1").weight.div_(60.0)  # type: ignore[operator]
            self.fc8.weight.mul_(0.1)


def load_vgg_face(
    path: str | os.PathLike[str],
    identities: int = 2622,
    width: float = 1.0,
    input_size: int = 224,
    fc_width: int | None = None,
) -> FaceRecogniser:
    """Load a recogniser from `.mat`, `.pth`/`.pt` or our `.safetensors`; see model/vgg_weights.py.

    The sizes are those of the published weights; our own files carry theirs. The file's SHA-256 is
    logged. Returns the module in eval mode, frozen. Raises ValueError naming the layer whose shape
    is wrong or missing, FileNotFoundError for no file.
    """
    file = Path(path)
    with file.open("rb") as stream:
        logger.info(
            "recogniser %s: sha256 %s", file, hashlib.file_digest(stream, "sha256").hexdigest()
        )
    if file.suffix == ".mat":
        state = read_matconvnet(file)
    elif file.suffix == ".safetensors":
        state, header = load_weights(file)
        if missing := [name for name in RECOGNISER_HEADER if name not in header]:
            raise ValueError(f"{file}: no {', '.join(missing)} in its header; train it again")
        identities, input_size = int(header["identities"]), int(header["input_size"])
        width, fc_width = float(header["width"]), int(header["fc_width"])
    elif file.suffix in (".pth", ".pt"):
        state = read_state_dict(file)
    else:
        raise ValueError(f"{file}: expected .mat, .pth, .pt or .safetensors")
    module = FaceRecogniser(identities, width, input_size, fc_width)
    _check_shapes(file, state, module.state_dict())
    module.load_state_dict(state)
    return module.requires_grad_(False).eval()


def save_recogniser(module: FaceRecogniser, path: str | os.PathLike[str]) -> None:
    """Write a recogniser as safetensors with its sizes in the header, atomically."""
    save_weights(module, path)


def _check_shapes(file: Path, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name, expected in own.items():
        if name not in given:
            raise ValueError(f"{file}: {name} is missing; expected {tuple(expected.shape)}")
        if given[name].shape != expected.shape:
            raise ValueError(
                f"{file}: {name} is {tuple(given[name].shape)}, expected {tuple(expected.shape)}; "
                "is it VGG-16 trained on faces?"
            )
    if unknown := sorted(set(given) - set(own)):
        raise ValueError(f"{file}: {unknown[0]} is no layer of VGG-16")
