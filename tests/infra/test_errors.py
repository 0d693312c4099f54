"""Errors of input say what is wrong twice: of this file, and in words by which they are counted."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from datasets.protocols.split import LeakError
from datasets.shards.files import ShardError
from datasets.sources.discovery import SourceError
from datasets.sources.footage import DecodeError
from datasets.sources.frame_labels import LabelError
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.tracking.detectors import DetectorError
from infra.attempts import AttemptsError
from infra.errors import FacestackError, InputError
from infra.extraction import Limits
from tests.support.media import write_images, write_video

KINDS = (AttemptsError, DecodeError, DetectorError, LabelError, LeakError, ShardError, SourceError)


@pytest.mark.parametrize("kind", KINDS)
def test_all_are_of_one_family_and_cross_to_other_processes(kind: type[InputError]) -> None:
    error = kind.at("a/b.mp4", "the file is empty", "; get another")
    assert isinstance(error, FacestackError) and error.status == 2
    assert str(error) == "a/b.mp4: the file is empty; get another"
    crossed = pickle.loads(pickle.dumps(error))
    assert (type(crossed), str(crossed), crossed.kind) == (kind, str(error), "the file is empty")
    assert kind("no kind is told").kind == kind.__name__


def frames(*sides: int) -> list[np.ndarray]:
    return [np.full((side, side, 3), 90, np.uint8) for side in sides]


def refused(path: Path, form: str, limits: Limits) -> DecodeError:
    with (
        pytest.raises(DecodeError) as caught,
        open_source(Source(f"file://{path}", "a/v", "a", form), limits) as footage,  # type: ignore[arg-type]
    ):
        list(footage.frames())
    return caught.value


def test_kinds_are_the_same_for_every_file(tmp_path: Path) -> None:
    """Without the numbers, names and remedies that the texts hold."""
    write_images(tmp_path / "v", ["1.png", "2.png"], frames(64, 80))
    write_video(tmp_path / "v.mp4", frames(*[64] * 50))
    (tmp_path / "text.mp4").write_text("no video")
    usual = Limits()
    assert refused(tmp_path / "v", "images", usual).kind == "frames of differing size"
    assert refused(tmp_path / "text.mp4", "video", usual).kind == "not a readable video"
    for path, form in ((tmp_path / "v", "images"), (tmp_path / "v.mp4", "video")):
        found = refused(path, form, Limits(max_pixels=100))
        assert found.kind == "a frame of too many pixels"
        assert "raise max_pixels" in str(found)
    assert refused(tmp_path / "v.mp4", "video", Limits(max_seconds=1)).kind == "plays for too long"
