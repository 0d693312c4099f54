"""The low frames that the stage enhance restores are those that the network was trained on."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.clips.windows import Account
from datasets.sources.footage import Boxes, Footage
from datasets.tracking.detectors import Detector
from infra.settings.settings import Settings
from tests.datasets.clips.test_cutting import source
from tests.support.enhancement.spans import tracks_of
from tests.support.media import Frame, bright_detector, square_frame, write_images
from workflows.enhancement.spans import Span, TrackPart
from workflows.enhancement.steps import locate
from workflows.enhancement.steps.locate import Wanted
from workflows.preprocessing import parts


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (locate, parts):
        monkeypatch.setattr(module, "face_detector", lambda *_: bright_detector)


def settings(**options: object) -> Settings:
    chosen = Settings()
    chosen.clip.size, chosen.clip.scale = 64, 4
    for name, value in {"faces": "detect", "min_face": 10, "clip_stride": 1, **options}.items():
        setattr(chosen.preprocess, name, value)
    return chosen


def spans(
    chosen: Settings,
    frames: list[Frame],
    inputs: tuple[int, ...] = (16,),
    degraded: bool = True,
    rejected: Counter[str] | None = None,
    reach: int = 2,
    bare: Callable[[int], None] = lambda frames: None,
) -> list[Span]:
    height, width = frames[0].shape[:2]
    footage = Footage("v", Fraction(25), width, height, lambda: iter(frames))
    clip = chosen.clip
    wanted = Wanted(
        clip.geometry(), chosen.preprocess.detection(), clip.how_degraded(), inputs, reach, degraded
    )
    rejected = Counter() if rejected is None else rejected
    return list(locate.spans_of(footage, wanted, rejected, bare))


def low_tracks(*arguments: Any) -> dict[int, TrackPart]:
    return tracks_of(spans(*arguments))


def growing() -> list[Frame]:
    """A square that drifts and grows from 32 to 62 pixels: more than one track on `camera`."""
    return [square_frame(30 + i / 3, 20 + i / 4, 32 + i // 3, 192, 144) for i in range(90)]


@pytest.mark.parametrize(("grid", "tracks"), [("camera", 3), ("frame", 1), ("face", 1)])
def test_shards_and_enhance_have_the_same_low_frames(
    tmp_path: Path, grid: str, tracks: int
) -> None:
    write_images(tmp_path / "v", [f"{i}.png" for i in range(90)], growing())
    chosen = settings(grid=grid, clip_stride=8)
    found = low_tracks(chosen, growing())
    assert len(found) == tracks and not any(track.native for track in found.values())
    assert sum(len(track.low) for track in found.values()) == 90
    clips = list(
        parts.clips_by(parts.extraction(chosen), source(tmp_path / "v", "images"), Account())
    )
    assert {clip.track for clip in clips} == {n for n, t in found.items() if len(t.low) >= 25}
    for clip in clips:
        track = found[clip.track]
        begin = clip.frame - 12 - track.first
        np.testing.assert_array_equal(clip.low, track.low[begin : begin + 25])


def test_a_native_face_is_the_block_of_source_pixels_itself() -> None:
    """A square of 12 pixels, its crop 1.3 times as wide: 15.6, so 16 pixels about its centre."""
    chance = np.random.default_rng(0)
    frames = [square_frame(20 + i // 3, 30, 12) for i in range(30)]
    for frame in frames:  # texture that resampling would change
        frame[..., 1:] = chance.integers(0, 256, (72, 96, 2))
    (track,) = low_tracks(settings(), frames).values()
    assert track.native and track.crops[:, 2].tolist() == [16] * 30
    for i, low in enumerate(track.low):
        blocks = [
            frames[i][28 : 28 + 16, left : left + 16] for left in range(16 + i // 3, 21 + i // 3)
        ]
        assert any(np.array_equal(low, block) for block in blocks)


def two_sizes() -> list[Frame]:
    """A square of 12 pixels for 40 frames, and behind a cut one of 40."""
    small = [square_frame(20 + i // 3, 30, 12) for i in range(40)]
    return small + [255 - square_frame(20, 20, 40) for _ in range(40)]


def two_squares(frame: Frame) -> Boxes:
    side, grey = (12, frame) if frame[0, 0, 0] < 128 else (40, 255 - frame)
    rows, columns = np.nonzero(grey[:, :, 0] > 200)
    return np.array([[columns.min(), rows.min(), side, side]], np.float32)


def test_larger_faces_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's input is 16 pixels: crops up to 1.75 · 16 = 28, faces up to 28 / 1.3 = 21."""
    monkeypatch.setattr(locate, "face_detector", lambda *_: Detector(two_squares))
    rejected: Counter[str] = Counter()
    (track,) = low_tracks(settings(), two_sizes(), (16,), False, rejected).values()
    assert (track.native, track.low.shape) == (True, (40, 16, 16, 3))
    assert rejected == {"face over 21 px": 1}


def test_each_face_goes_to_the_network_whose_input_is_as_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """40 pixels, so a crop of 52: that of 64 pixels is the first that shows all of it."""
    monkeypatch.setattr(locate, "face_detector", lambda *_: Detector(two_squares))
    rejected: Counter[str] = Counter()
    tracks = low_tracks(settings(), two_sizes(), (64, 16, 32), False, rejected)
    assert [track.low.shape for track in tracks.values()] == [(40, 16, 16, 3), (40, 64, 64, 3)]
    assert all(track.native for track in tracks.values()) and not rejected


def test_a_film_is_not_shaken_to_be_restored() -> None:
    still, shaken = (
        low_tracks(settings(grid="face", shake=s), growing())[0].low for s in (0.0, 0.5)
    )
    np.testing.assert_array_equal(still, shaken)


@pytest.mark.parametrize(("faces", "reach"), [(1, 0), (1, 3), (7, 2), (25, 12), (40, 1)])
def test_a_film_in_spans_is_the_film(
    faces: int, reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever spans end, the tracks are the same; a part has beside it what a window needs."""
    (alone,) = spans(settings(), growing(), reach=reach)
    whole = tracks_of([alone])
    monkeypatch.setattr(locate, "SPAN", faces)
    found = spans(settings(), growing(), reach=reach)
    assert len(found) == math.ceil(90 / faces)
    assert [span.number for span in found] == list(range(len(found)))
    ends = [0, *np.cumsum([span.frames for span in found]).tolist()]
    assert [span.first for span in found] == ends[:-1] and ends[-1] == alone.frames == 90
    for number, track in tracks_of(found).items():
        for field in fields(track):
            np.testing.assert_array_equal(
                getattr(track, field.name), getattr(whole[number], field.name), field.name
            )
    for span in found:
        for part in span.parts:
            assert span.first <= part.first and len(part.low) <= span.frames
            track, begin = whole[part.track], part.first - whole[part.track].first
            end = begin + len(part.low)
            assert (part.begins, part.ends) == (begin == 0, end == len(track.low))
            before, after = track.low[max(begin - reach, 0) : begin], track.low[end : end + reach]
            np.testing.assert_array_equal(part.before, before)
            np.testing.assert_array_equal(part.after, after)


def test_a_film_without_a_face_is_one_span() -> None:
    (span,) = spans(settings(), [np.full((72, 96, 3), 60, np.uint8)] * 7)
    assert (span.number, span.first, span.frames, span.parts) == (0, 0, 7, [])


def test_frames_behind_the_last_face_are_told_while_a_film_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A square for 40 frames of 100. Where it ends is known within a few frames."""
    monkeypatch.setattr(locate, "LOOK", 20)
    black = np.zeros_like(growing()[0])
    told = list[int]()
    spans(settings(), [*growing()[:40], *[black] * 60], bare=told.append)
    assert told[2:] == [20, 40, 60] and max(told[:2]) <= 20
    told.clear()
    spans(settings(), [black] * 100, bare=told.append)
    assert told == [20, 40, 60, 80, 100]


def test_what_is_told_of_a_face_is_told_of_its_own_frame() -> None:
    """The square that is found lies in the square that is cut, at any time."""
    (track,) = low_tracks(settings(grid="face"), growing()).values()
    for i, (crop, face) in enumerate(zip(track.crops, track.faces, strict=True)):
        assert abs(face[0] - (30 + i / 3)) < 2 and abs(face[2] - (32 + i // 3)) < 2
        assert (crop[:2] < face[:2]).all() and crop[2] == pytest.approx(1.3 * face[2])
    np.testing.assert_allclose(track.times, np.arange(90) / 25)
    assert np.isnan(track.scores).all() and (track.sharpness > 0).all()
