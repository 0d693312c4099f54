"""The recogniser: topology, preprocessing, depth of the forward pass, and the three file layouts.

Files are written here exactly as the published ones are laid out, from random weights at a reduced
width; features are compared with a NumPy/SciPy forward of the first block and of the dense end.
"""

import logging
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.io
import torch
from scipy.signal import correlate2d
from torch.nn import functional

from model.perceptual import (
    CHANNEL_MEANS,
    LAYERS,
    FaceRecogniser,
    load_vgg_face,
    save_recogniser,
)

SIZES = {"identities": 7, "width": 1 / 32, "input_size": 32, "fc_width": 9}
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
CONVOLUTIONS = [name for name in LAYERS if name.startswith("conv")]
Numbers = dict[str, np.ndarray]


@pytest.fixture
def numbers() -> Numbers:
    """Random filters out×in×H×W (dense: out×in) and biases, RGB, float32."""
    generator = np.random.default_rng(4)
    module = FaceRecogniser(**SIZES)
    return {
        name: generator.normal(scale=0.2, size=tuple(value.shape)).astype(np.float32)
        for name, value in module.state_dict().items()
    }


def first_block(numbers: Numbers, image: np.ndarray) -> np.ndarray:
    """conv1_2 after ReLU of a 3×H×W image in [0, 1] by correlate2d, zeros outside."""
    maps = image * 255 - np.array(CHANNEL_MEANS).reshape(3, 1, 1)
    for layer in ("conv1_1", "conv1_2"):
        filters, bias = numbers[f"{layer}.weight"], numbers[f"{layer}.bias"]
        maps = np.stack(
            [
                sum(correlate2d(maps[c], kernel[c], mode="same") for c in range(len(maps))) + b
                for kernel, b in zip(filters, bias, strict=True)
            ]
        ).clip(0)
    return maps


def dense_end(numbers: Numbers, pool5: np.ndarray) -> np.ndarray:
    """fc7 after ReLU from pool5, flattened channel by channel, then row by row."""
    values = pool5.reshape(-1)
    for layer in ("fc6", "fc7"):
        values = (numbers[f"{layer}.weight"] @ values + numbers[f"{layer}.bias"]).clip(0)
    return values


def check(module: FaceRecogniser, numbers: Numbers) -> None:
    image = np.random.default_rng(5).random((3, 32, 32))
    found = module.forward_to(torch.from_numpy(image[None]).float(), {"conv1_2", "pool5", "fc7"})
    expected = first_block(numbers, image)
    assert np.abs(found["conv1_2"][0].numpy() - expected).max() < 1e-4 * expected.max()
    expected = dense_end(numbers, found["pool5"][0].numpy())
    assert expected.max() > 0
    assert np.abs(found["fc7"][0].numpy() - expected).max() < 1e-4 * expected.max()
    assert not module.training
    assert not any(value.requires_grad for value in module.parameters())


def write_mat(path: Path, numbers: Numbers, style: str) -> None:
    """As MatConvNet: H×W×in×out, dense layers as convolutions over the last maps."""
    layers = np.empty((1, 0), dtype=object)
    for name in LAYERS:
        record: dict[str, object] = {"name": name, "type": "pool"}
        if not name.startswith("pool"):
            filters = numbers[f"{name}.weight"]
            if filters.ndim == 2:
                filters = filters[:, :, None, None]
            turned = np.ascontiguousarray(filters.transpose(2, 3, 1, 0))
            bias = numbers[f"{name}.bias"].reshape(1, -1)
            record["type"] = "conv"
            if style == "filters":
                record |= {"filters": turned, "biases": bias}
            else:
                cell = np.empty((1, 2), dtype=object)
                cell[0, 0], cell[0, 1] = turned, bias
                record["weights"] = cell
        entry = np.empty((1, 1), dtype=object)
        entry[0, 0] = record
        layers = np.append(layers, entry, axis=1)
    means = list(CHANNEL_MEANS) if style != "bgr" else list(reversed(CHANNEL_MEANS))
    normalization = {"averageImage": np.array(means, dtype=np.float32).reshape(1, 1, 3)}
    if style == "vlfeat":
        content: dict[str, object] = {"layers": layers, "meta": {"normalization": normalization}}
    else:
        content = {"net": {"layers": layers, "normalization": normalization}}
    scipy.io.savemat(path, content)


def bgr(numbers: Numbers) -> Numbers:
    return {**numbers, "conv1_1.weight": numbers["conv1_1.weight"][:, ::-1].copy()}


@pytest.mark.parametrize("style", ["authors", "vlfeat", "filters", "bgr"])
def test_matconvnet_file(tmp_path: Path, numbers: Numbers, style: str) -> None:
    path = tmp_path / "vgg_face.mat"
    write_mat(path, bgr(numbers) if style == "bgr" else numbers, style)
    check(load_vgg_face(path, **SIZES), numbers)


def test_dense_layer_over_more_than_one_place_keeps_its_axes(tmp_path: Path) -> None:
    """fc6 is H×W×in×out in the file: its columns here run channel, row, column."""
    from model.vgg_weights import read_matconvnet

    filters = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    layer, cell = np.empty((1, 1), dtype=object), np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = filters, np.zeros((5, 1))
    layer[0, 0] = {"name": "fc6", "weights": cell}
    scipy.io.savemat(tmp_path / "a.mat", {"layers": layer})
    maps = np.random.default_rng(1).normal(size=(4, 2, 3))
    expected = np.einsum("chw,hwco->o", maps, filters)
    weight = read_matconvnet(tmp_path / "a.mat")["fc6.weight"].numpy()
    assert np.allclose(weight @ maps.reshape(-1), expected, atol=1e-5)


@pytest.mark.parametrize("naming", ["plain", "torch", "sequential", "vision"])
def test_pytorch_conversions(tmp_path: Path, numbers: Numbers, naming: str) -> None:
    source = bgr(numbers) if naming in ("torch", "sequential") else numbers
    dense = {"sequential": ("32.1", "35.1", "38.1"), "vision": ("0", "3", "6")}
    names: dict[str, str] = {}
    for index, ours in enumerate([*CONVOLUTIONS, "fc6", "fc7", "fc8"]):
        if naming == "plain":
            names[ours] = ours
        elif naming == "torch":
            names[ours] = ours.replace("conv", "conv_")
        elif ours.startswith("conv"):
            names[ours] = ("features." if naming == "vision" else "") + str(PLACES[index])
        else:
            place = dense[naming][index - len(CONVOLUTIONS)]
            names[ours] = ("classifier." if naming == "vision" else "") + place
    state = {
        f"{names[name.rsplit('.', 1)[0]]}.{name.rsplit('.', 1)[1]}": torch.from_numpy(value)
        for name, value in source.items()
    }
    torch.save(state, tmp_path / "VGG_FACE.pth")
    check(load_vgg_face(tmp_path / "VGG_FACE.pth", **SIZES), numbers)


def test_our_own_file_carries_its_sizes_and_its_checksum_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = FaceRecogniser(**SIZES).eval()
    save_recogniser(module, tmp_path / "weights.safetensors")
    with caplog.at_level(logging.INFO):
        loaded = load_vgg_face(tmp_path / "weights.safetensors")
    images = torch.rand(2, 3, 40, 40)
    assert torch.equal(loaded.descriptor(images), module.descriptor(images))
    assert loaded.description() == module.description()
    assert "sha256 " in caplog.text


def test_a_wrong_shape_names_its_layer(tmp_path: Path, numbers: Numbers) -> None:
    path = tmp_path / "vgg.pth"
    state = {name: torch.from_numpy(value) for name, value in numbers.items()}
    state["conv3_2.weight"] = state["conv3_2.weight"][:, :-1]
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"conv3_2\.weight is"):
        load_vgg_face(path, **SIZES)
    del state["conv3_2.weight"]
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"conv3_2\.weight is missing"):
        load_vgg_face(path, **SIZES)


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    for name, match in [
        ("a.mat", "not a MATLAB file"),
        ("a.pth", "not a state dict"),
        ("a.safetensors", "not a safetensors file"),
        ("a.caffemodel", "expected .mat"),
    ]:
        (tmp_path / name).write_bytes(b"some text that is no weights " * 20)
        with pytest.raises(ValueError, match=match):
            load_vgg_face(tmp_path / name)
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match="unknown names"):
        load_vgg_face(tmp_path / "b.pth")
    with pytest.raises(FileNotFoundError):
        load_vgg_face(tmp_path / "none.mat")


def test_has_the_published_topology() -> None:
    with torch.device("meta"):
        module = FaceRecogniser()
    assert module.get_submodule("fc6").weight.shape == (4096, 25088)
    assert module.get_submodule("fc8").weight.shape == (2622, 4096)
    assert sum(value.numel() for value in module.parameters()) == 145_002_878


def test_images_are_resized_and_centred_on_the_published_means() -> None:
    module = FaceRecogniser(**SIZES)
    images = torch.rand(1, 3, 64, 64)
    resized = functional.interpolate(
        images, (32, 32), mode="bilinear", align_corners=False, antialias=True
    )
    means = torch.tensor([129.1863, 104.7624, 93.5940]).view(3, 1, 1)
    assert torch.allclose(module.preprocess(images), resized * 255 - means, atol=1e-4)


def test_goes_no_deeper_than_asked() -> None:
    module = FaceRecogniser(**SIZES).eval()
    with mock.patch.object(module.conv4_1, "forward") as deeper:
        found = module.forward_to(torch.rand(1, 3, 32, 32), {"conv2_1", "pool3"})
    assert set(found) == {"conv2_1", "pool3"}
    deeper.assert_not_called()


def test_other_input_sizes_serve_convolutions_only() -> None:
    module = FaceRecogniser(**SIZES).eval()
    images = torch.rand(1, 3, 64, 64)
    assert module.forward_to(images, {"pool4"}, 64)["pool4"].shape[-1] == 4
    with pytest.raises(ValueError, match="fc6 and beyond take 32"):
        module.forward_to(images, {"fc7"}, 64)
    with pytest.raises(ValueError, match="no relu1"):
        module.forward_to(images, {"relu1"})
    with pytest.raises(ValueError, match="B×3×H×W"):
        module.descriptor(torch.rand(1, 1, 32, 32))


def test_descriptors_have_unit_length_and_scores_start_small() -> None:
    module = FaceRecogniser(10, width=0.125, input_size=32).eval()
    images = torch.rand(4, 3, 32, 32)
    assert torch.allclose(module.descriptor(images).norm(dim=1), torch.ones(4), atol=1e-5)
    assert module(images).abs().max() < 3


def test_an_input_size_that_pooling_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        FaceRecogniser(input_size=100)
