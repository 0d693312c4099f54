"""From the setting preprocess.detector to what finds faces: YuNet's model, or OpenCV's cascade."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from datasets.tracking.detectors import DetectorError, build_detector
from infra import storage
from infra.errors import SettingsError
from infra.settings.data import DETECTORS
from infra.text import one_line, sha256_of
from workflows.shared.face_models import published
from workflows.shared.face_models.published import FetchError

FOLDER = "FACESTACK_MODELS"  # the environment's name for the folder of models
# What the cascade costs, on 113 real films whose faces were reduced to 16 pixels: docs/data.md.
COSTS = (
    "of faces of 16 pixels it finds 80 % where YuNet finds 98 %, no profiles, and about once a "
    "minute of film it follows what is no face"
)


@dataclass(frozen=True)
class Choice:
    """What finds the faces of a run: a YuNet model with its `sha256` and `content`, or OpenCV's
    cascade; the setting by which it was `asked` for, and where it came from or why it is the
    cascade (`told`, a line of progress)."""

    kind: Literal["yunet", "haar"]
    asked: str
    sha256: str | None = None
    told: str = ""
    content: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """What the results depend on: the kind and the model's hash."""
        return self.kind if self.sha256 is None else f"{self.kind} {self.sha256}"


def forget() -> None:
    """Look and fetch anew from now on: a new command begins."""
    find.cache_clear()


@lru_cache(maxsize=4)
def find(asked: str) -> Choice:
    """What the setting asks for; raises SettingsError with the remedy where it cannot be had.

    It is looked for once a command, so that every stage has the same, and waits for no network
    twice.
    """
    if asked == "haar":
        return Choice("haar", asked, told="faces are found by OpenCV's cascade, as asked")
    if asked not in DETECTORS:
        return _of_file(asked, asked)
    if (path := _in_folder()) is not None:
        return _of_file(str(path), asked)
    if (content := published.cached()) is not None:
        return _yunet(asked, content, str(published.cache()))
    try:
        return _yunet(asked, published.fetched(), published.ADDRESS)
    except FetchError as error:
        remedy = f"fetch that file where there is a network, and name its folder in {FOLDER}"
        if asked == "yunet":
            raise SettingsError(f"preprocess.detector yunet: {error}; {remedy}") from error
        told = f"faces are found by OpenCV's cascade, without YuNet's model ({error}): {COSTS}; "
        return Choice("haar", asked, told=told + remedy)


def _yunet(asked: str, content: bytes, origin: str) -> Choice:
    sha256 = sha256_of(content)
    told = f"faces are found by YuNet ({origin}, SHA-256 {sha256[:12]}…)"
    return Choice("yunet", asked, sha256, told, content)


def _of_file(uri: str, asked: str) -> Choice:
    """The model in a file, of any checksum; raises SettingsError where it is none."""
    try:
        with storage.local_file(uri) as path:
            content = path.read_bytes()
            build_detector(str(path))
    except (DetectorError, OSError) as error:
        why = f"{uri}: {error.strerror}" if isinstance(error, OSError) else one_line(error)
        raise SettingsError(
            f"preprocess.detector: {why}; give auto, yunet, haar or a YuNet .onnx file"
        ) from error
    return _yunet(asked, content, uri)


def _in_folder() -> Path | None:
    """YuNet's model in the folder of models, by its published name or as the only one of another;
    None without such a folder or model. Raises SettingsError where several have other names."""
    if not (folder := os.environ.get(FOLDER)):
        return None
    if not Path(folder).is_dir():
        raise SettingsError(f"{FOLDER}: {folder}: no such folder; give that of {published.NAME}")
    if (named := Path(folder) / published.NAME).is_file():
        return named
    found = sorted(Path(folder).glob("*yunet*.onnx"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SettingsError(f"{FOLDER}: {folder}: one YuNet model was expected, not {names}")
    return found[0] if found else None
