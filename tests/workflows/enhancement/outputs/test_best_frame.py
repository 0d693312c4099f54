"""The best frame of a track is found across spans, and its picture is input beside restored."""

import math
from pathlib import Path

import numpy as np
import pytest

from infra import storage
from tests.support.enhancement.spans import a_film
from workflows.enhancement.outputs.best_frame import BestFrames, goodness, side_by_side
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.spans import Span, TrackPart
from workflows.shared.pictures import read_picture


def part(
    sides: list[float],
    sharpness: list[float],
    scores: list[float],
    track: int = 0,
    first: int = 0,
    ends: bool = True,
) -> TrackPart:
    """Frames whose input is of one grey, 10 levels a frame of the film, and restored 100 more."""
    count = len(sides)
    levels = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None] * 10
    squares = np.array([(0.0, 0.0, side) for side in sides])
    return TrackPart(
        track=track, first=first, begins=True, ends=ends, native=True, break_before="",
        times=np.arange(first, first + count) / 25, crops=squares, faces=squares,
        scores=np.array(scores, np.float32), sharpness=np.array(sharpness, np.float32),
        low=np.broadcast_to(levels, (count, 4, 4, 3)).copy(),
        restored=np.broadcast_to(levels + 100, (count, 16, 16, 3)).copy(),
        consistency=np.full(count, 30, np.float32),
    )  # fmt: skip


def test_goodness_is_the_product_that_is_told() -> None:
    found = goodness(part([12, 4], [100, 300], [0.5, math.nan]))
    assert found == pytest.approx([0.75 * 0.5 * 0.5**4, 0.5 * 0.75 * 0.92**4])
    assert goodness(part([12], [math.nan], [1.0])) == pytest.approx([0.75 * 0.5])


@pytest.mark.parametrize(
    ("sides", "sharpness", "scores"),
    [
        ([10, 14, 10], [50, 50, 50], [0.9, 0.9, 0.9]),
        ([10, 10, 10], [50, 90, 50], [0.9, 0.9, 0.9]),
        ([10, 10, 10], [50, 50, 50], [0.8, 0.9, 0.8]),
        ([10, 14, 10], [50, 50, 50], [math.nan] * 3),
    ],
)
def test_the_larger_the_sharper_and_the_surer_face_is_better(
    sides: list[float], sharpness: list[float], scores: list[float]
) -> None:
    assert goodness(part(sides, sharpness, scores)).argmax() == 1


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_the_best_of_all_spans_is_written(where: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "film") if where == "disk" else "memory://best/film"
    with BestFrames(Place(a_film(), folder, {})) as output:
        output.add(Span(0, 0, 2, [part([10, 11], [50, 50], [0.9, 0.9], ends=False)]))
        output.add(
            Span(1, 2, 3, [
                part([11, 13, 13], [50, 50, 50], [0.9, 0.9, 0.9], first=2, ends=False),
                part([20], [50], [0.9], track=7, first=4),
            ])
        )  # fmt: skip
        output.add(Span(2, 5, 1, [part([12], [50], [0.9], first=5)]))
        assert storage.files(folder) == []
    assert output.of_tracks == {
        0: {"picture": "track_000.jpg", "best_frame": 3},
        7: {"picture": "track_007.jpg", "best_frame": 4},
    }
    for name, level in (("track_000.jpg", 30), ("track_007.jpg", 40)):
        picture = read_picture(storage.read_bytes(storage.join(folder, name)))
        assert picture is not None and picture.shape == (16, 32, 3)
        assert np.abs(picture[:, :16].astype(int) - level).max() <= 2
        assert np.abs(picture[:, 16:].astype(int) - level - 100).max() <= 2


def test_after_an_error_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), BestFrames(Place(a_film(), str(tmp_path), {})) as output:
        output.add(Span(0, 0, 1, [part([10], [50], [0.9])]))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_inputs_pixels_stay_squares() -> None:
    low = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    restored = np.random.default_rng(1).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    picture = side_by_side(low, restored)
    np.testing.assert_array_equal(picture[:, :12], low.repeat(3, axis=0).repeat(3, axis=1))
    np.testing.assert_array_equal(picture[:, 12:], restored)
