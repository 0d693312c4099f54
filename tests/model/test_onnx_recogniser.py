"""Any ONNX recogniser as the judge, with small networks written here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.transform import resize

from model.onnx_recogniser import Judge
from tests.support.linear_onnx import matrix, write

MEAN = (10.0, 20.0, 30.0)


def expected(images: np.ndarray, channels: str, layout: str) -> np.ndarray:
    """unit((levels − mean)·scale · W), 4×4 pictures, so that nothing is resized."""
    levels = images[:, ::-1] * 255 if channels == "BGR" else images * 255
    given = (levels - np.reshape(MEAN, (3, 1, 1))) * 0.01
    if layout == "last":
        given = given.transpose(0, 2, 3, 1)
    rows = given.reshape(len(images), -1) @ matrix()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(
    ("layout", "shape"),
    [("first", ["batch", 3, 4, 4]), ("last", [None, 4, 4, 3]), ("first", [1, 3, "h", "w"])],
)
def test_descriptors_follow_order_mean_scale_and_layout(
    tmp_path: Path, channels: str, layout: str, shape: list[object]
) -> None:
    images = np.random.default_rng(1).random((3, 3, 4, 4)).astype(np.float32)
    judge = Judge(write(tmp_path / "j.onnx", shape), 4, channels, MEAN, 0.01)
    given = judge.describe(torch.from_numpy(images))
    assert given == pytest.approx(expected(images, channels, layout), abs=1e-5)


def test_pictures_are_resized_to_its_input(tmp_path: Path) -> None:
    """Against scikit-image on a smooth picture, 16×16 to 4×4."""
    line = np.linspace(0, 1, 16, dtype=np.float32)
    picture = np.stack([np.outer(line, line), np.outer(line, 1 - line), np.outer(1 - line, line)])
    small = np.stack([resize(c, (4, 4), order=1, anti_aliasing=False) for c in picture])
    judge = Judge(write(tmp_path / "j.onnx", ["b", 3, 4, 4]), 4, "RGB", MEAN, 0.01)
    given = judge.describe(torch.from_numpy(picture)[None])
    assert given == pytest.approx(expected(small[None], "RGB", "first"), abs=0.02)


def test_what_is_no_recogniser_is_refused_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"broken.onnx: onnxruntime cannot load it"):
        Judge(broken)
    with pytest.raises(ValueError, match="expected one input"):
        Judge(write(tmp_path / "flat.onnx", ["b", 48]), 4)
    with pytest.raises(ValueError, match="takes 4×4 pixels, not 112×112"):
        Judge(write(tmp_path / "small.onnx", ["b", 3, 4, 4]))
