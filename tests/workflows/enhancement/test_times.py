"""A track tells when its frames are shown, and why a shot begins with it."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from infra.extraction import Degradation, Detection, Geometry
from tests.support.films import film
from tests.support.media import bright_detector, moving_square
from workflows.enhancement import locate
from workflows.enhancement.locate import low_tracks


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
