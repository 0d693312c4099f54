"""Where a detector comes from: its setting, the folder of models, the cache, its address."""

import os
from pathlib import Path

import numpy as np
import pytest

from infra.errors import SettingsError
from infra.text import sha256_of
from tests.support.servers.file_server import serving
from workflows.shared.face_models import finding, published
from workflows.shared.face_models.finding import find, forget

MODEL = b"a model" * 100


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no folder of models, and whatever file is a model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FACESTACK_MODELS", raising=False)
    monkeypatch.setattr(finding, "build_detector", lambda *_: None)
    forget()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("FACESTACK_MODELS", str(folder))
    return folder


def test_the_cascade_needs_no_model() -> None:
    found = find("haar")
    assert (found.kind, found.sha256, found.name) == ("haar", None, "haar")


def test_a_file_is_taken_whatever_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(MODEL)
    found = find(str(tmp_path / "own.onnx"))
    assert (found.kind, found.content) == ("yunet", MODEL)
    assert found.name == f"yunet {sha256_of(MODEL)}"


def test_a_file_that_is_not_there_or_no_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(
        SettingsError, match=r"preprocess\.detector: .*gone\.onnx: No such file .*; give"
    ):
        find(str(tmp_path / "gone.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(SettingsError, match=r"text\.onnx: not a YuNet model.*give auto, yunet"):
        find(str(tmp_path / "text.onnx"))


@pytest.mark.parametrize("asked", ["auto", "yunet"])
@pytest.mark.parametrize("name", [published.NAME, "my yunet 320.onnx"])
def test_the_folder_of_models_comes_first(asked: str, name: str, models: Path) -> None:
    (models / name).write_bytes(MODEL)
    (models / "arcface.onnx").write_bytes(b"another")
    found = find(asked)
    assert (found.kind, found.content, found.asked) == ("yunet", MODEL, asked)
    assert str(models / name) in found.told


def test_of_several_models_the_published_name_counts(models: Path) -> None:
    for name in ("yunet_a.onnx", "yunet_b.onnx"):
        (models / name).write_bytes(b"other")
    with pytest.raises(SettingsError, match=r"one YuNet model was expected, not yunet_a\.onnx, yu"):
        find("auto")
    (models / published.NAME).write_bytes(MODEL)
    assert find("auto").content == MODEL


def test_a_folder_of_models_that_is_not_there_is_refused(models: Path) -> None:
    models.rmdir()
    with pytest.raises(SettingsError, match=r"FACESTACK_MODELS: .*models: no such folder"):
        find("auto")


def test_the_cache_is_next_and_then_the_address_once(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(MODEL) as server:
        expected = (server.address, sha256_of(MODEL), len(MODEL), 30.0)
        monkeypatch.setattr(published.fetched, "__defaults__", expected)
        monkeypatch.setattr(published.cached, "__defaults__", expected[1:2])
        first = find("auto")
        forget()
        second = find("yunet")
        assert server.asked == 1
    assert first.content == second.content == MODEL
    assert str(published.cache()) in second.told


def test_without_a_model_auto_is_the_cascade_and_says_what_that_costs() -> None:
    found = find("auto")
    assert (found.kind, found.asked, found.name) == ("haar", "auto", "haar")
    assert "of faces of 16 pixels it finds 80 %" in found.told
    assert "FACESTACK_MODELS" in found.told and "\n" not in found.told


def test_without_a_model_yunet_is_refused_with_the_remedy() -> None:
    with pytest.raises(SettingsError, match=r"preprocess\.detector yunet: ") as refused:
        find("yunet")
    assert published.ADDRESS in str(refused.value) and "FACESTACK_MODELS" in str(refused.value)


def test_a_real_model_finds_nothing_in_a_blank_frame(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    if not (faces / "../weights/yunet_n_320_320.onnx").is_file():
        pytest.skip("no YuNet model beside the faces")
    monkeypatch.setenv("FACESTACK_MODELS", str(faces / "../weights"))
    found = find("auto")
    assert found.kind == "yunet"
    assert len(found.content) == os.stat(faces / "../weights/yunet_n_320_320.onnx").st_size
    path = faces / "../weights/yunet_n_320_320.onnx"
    assert finding.build_detector(str(path))(np.zeros((64, 64, 3), np.uint8)).shape == (0, 5)
