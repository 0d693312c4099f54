"""The example, called as its page says, on a drawn film."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.drawn.dataset import write_person
from datasets.tracking.boxes import separate, widen
from datasets.tracking.detectors import haar_detector
from model.network import build
from model.weights import save_weights
from tests.support.films import film, numbered, read
from tests.support.root import ROOT


def call(monkeypatch: pytest.MonkeyPatch, *words: Path) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(ROOT)])
    monkeypatch.setattr(sys, "argv", ["restore_film.py", *map(str, words)])
    runpy.run_path(str(ROOT / "examples/restore_film.py"), run_name="__main__")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An untrained network, which enlarges its central frame."""
    save_weights(build("f3", 4, 64, 0.25), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_the_face_of_a_film(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (path,) = write_person(tmp_path, 0, clips=1, frames=12, size=96)
    out = tmp_path / "face.mp4"
    call(monkeypatch, path, weights, out)
    assert capsys.readouterr().out == f"{out}: 12 frames\n"
    restored, frames = read(out)[0], read(path)[0]
    assert [picture.shape for picture in restored] == 12 * [(64, 64, 3)]
    # Where the detector sees the face in a frame of the film, by itself.
    x, y, side = map(round, widen(separate(haar_detector()(frames[5]))[0].box, 1.3))
    framed = np.pad(frames[5], ((50, 50), (50, 50), (0, 0)), "edge")
    face = cv2.resize(framed[y + 50 : y + 50 + side, x + 50 : x + 50 + side], (64, 64))
    face = cv2.blur(face, (5, 5)).astype(float)
    likeness = np.corrcoef(face.ravel(), restored[5].ravel().astype(float))[0, 1]
    assert likeness > 0.9


def test_a_film_without_a_face(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "grey.mp4", numbered(8))
    with pytest.raises(SystemExit, match=r"grey\.mp4: no face was found"):
        call(monkeypatch, path, weights, tmp_path / "face.mp4")
    assert not (tmp_path / "face.mp4").exists()
