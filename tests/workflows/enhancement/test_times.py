"""A track tells when its frames are shown, and why a shot begins with it."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra import process
from infra.extraction import Degradation, Detection, Geometry
from infra.runs import Run
from infra.settings.settings import Settings
from model.network import build
from model.weights import save_weights
from tests.support.films import film, read
from tests.support.media import bright_detector, moving_square
from workflows.enhancement import locate
from workflows.enhancement.locate import Track, low_tracks
from workflows.enhancement.restore import Enhancer


def test_tracks_end_at_a_pause_and_keep_their_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 frames, a pause of ten minutes, 30 frames: nothing else tells that the shot ends."""
    monkeypatch.setattr(locate, "face_detector", lambda *_: bright_detector)
    times = [Fraction(i, 25) + 600 * (i >= 30) for i in range(60)]
    frames = [moving_square(1)[0]] * 60
    path = film(tmp_path / "v.mp4", frames, times=times)
    with open_source(Source(f"file://{path}", "a/v.mp4", "a", "video")) as footage:
        tracks = low_tracks(
            footage, Geometry(64, 4, 25), Detection("detect", min_face=10),
            Degradation("paper", 1.2), (16,), True, Counter(),
        )  # fmt: skip
    found = [tracks[number] for number in sorted(tracks)]
    assert [track.first for track in found] == [0, 30]
    assert [track.break_before for track in found] == ["", "pause"]
    np.testing.assert_allclose(np.concatenate([t.times for t in found]), np.array(times, float))


@pytest.fixture
def enhancer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enhancer:
    """An actor in this process, whose network is untrained."""
    monkeypatch.setattr(process, "limit_threads", lambda _: None)
    settings, run = Settings(), Run(str(tmp_path))
    settings.enhance.variant = "f1"
    network = build("f1", scale=4, size=32, width=0.125)
    save_weights(network, run.path("train/f1/weights.safetensors"))
    return Enhancer(settings, run, Detection(), run.path("enhanced"), "")


@pytest.mark.parametrize(("late", "told"), [(0.0009, 0), (0.2, 9)])
def test_times_that_the_rate_tells_are_not_told_again(
    late: float, told: int, tmp_path: Path, enhancer: Enhancer
) -> None:
    """Nine frames that begin ten minutes after the film; the last ones come `late`."""
    times = [600 + i / 25 + late * (i > 4) for i in range(9)]
    low = [np.zeros((8, 8, 3), np.uint8)] * 9
    track = Track(first=50, low_size=8, native=True, times=times, low=low, sides=[8.0] * 9)
    with torch.inference_mode():
        row = enhancer._write(Source("", "v", "", "video"), 0, track, Fraction(25))
    assert (row["start"], row["times"]) == (600, times[9 - told :])
    written = read(tmp_path / row["output"])[1].times
    np.testing.assert_allclose(written, np.array(times) - 600, atol=0.001)
