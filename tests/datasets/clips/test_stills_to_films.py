"""Bursts against the thin-plate spline written out, on a still whose every point is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import root

from datasets.clips import stills_to_films
from datasets.clips.stills_to_films import draw_motion, make_burst, render
from datasets.tracking.crops import crop

BOX = (40.3, 35.7, 150.0)
CONTROLS = np.stack(np.meshgrid(*[np.linspace(-1, 1, 8)] * 2), -1).reshape(-1, 2)


def colours(x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """A smooth still, by place in pixels from its corner: three waves, each a colour."""
    return 127 + 100 * np.stack([np.sin(x / 11), np.cos(y / 13), np.sin((x + y) / 17)], -1)


def smooth_still(size: int = 240, scale: float = 1.0) -> NDArray[np.uint8]:
    y, x = (np.mgrid[:size, :size] + 0.5) / scale
    return np.rint(colours(x, y)).astype(np.uint8)


def spline(shifts: NDArray, places: NDArray) -> NDArray[np.float64]:
    """d(p) = Σ_j w_j U(|p − c_j|) + a·(1, p), U(r) = r² log r, where d(c_j) = s_j, Σ w = 0 and
    Σ w c = 0, solved as one linear system."""

    def basis(points: NDArray) -> NDArray:
        r = np.linalg.norm(points[:, None] - CONTROLS[None], axis=-1)
        kernel = np.where(r > 0, r**2 * np.log(np.maximum(r, 1e-300)), 0)
        return np.hstack([kernel, np.ones((len(points), 1)), points])

    system = np.zeros((67, 67))
    system[:64] = basis(CONTROLS)
    system[64:, :64] = system[:64, 64:].T
    return basis(places) @ np.linalg.solve(system, np.vstack([shifts, np.zeros((3, 2))]))


def test_a_frame_reads_the_still_where_its_motion_says() -> None:
    """frame_t(q) = still(p) with p + d_t(p) = q, to a level and a half: 0.07 pixels here."""
    (shifts, *_) = draw_motion(25, 16, np.random.default_rng(5)).astype(float)
    assert np.abs(shifts).max() > 2 / 16 / 4  # a quarter of a low pixel at least, so a real test
    frame = render(smooth_still(), BOX, 128, shifts.astype(np.float32))
    chance = np.random.default_rng(0)
    for row, column in chance.integers(10, 118, (40, 2)):
        q = (2 * np.array([column, row]) + 1) / 128 - 1
        p = root(lambda p, q=q: p + spline(shifts, p[None])[0] - q, q).x
        x, y = np.array(BOX[:2]) + BOX[2] / 2 * (1 + p)
        assert frame[row, column] == pytest.approx(colours(x, y), abs=1.5)


def test_the_central_frame_is_the_crop_of_the_still() -> None:
    frames, motion = make_burst(smooth_still(), BOX, 128, 8, 25, np.random.default_rng(1))
    np.testing.assert_array_equal(frames[12], crop(smooth_still(), BOX, 128))
    assert not motion[12].any()
    assert all(motion[t].any() for t in range(25) if t != 12)
    assert (len(frames), motion.shape, motion.dtype) == (25, (25, 64, 2), np.float32)


def test_without_motion_a_frame_is_the_crop() -> None:
    for side in (150.0, 100.0, 60.0):
        still, box = smooth_still(), (40.3, 35.7, side)
        found = render(still, box, 128, np.zeros((64, 2), np.float32))
        np.testing.assert_allclose(found, crop(still, box, 128).astype(int), atol=2)


def test_a_large_still_gives_the_same_burst() -> None:
    """Four times as many pixels of the same scene: shrunk before, and nothing moves."""
    one, motion = make_burst(smooth_still(), BOX, 64, 8, 5, np.random.default_rng(2))
    box = tuple(4 * value for value in BOX)
    other, again = make_burst(smooth_still(960, 4.0), box, 64, 8, 5, np.random.default_rng(2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(motion, again)
    np.testing.assert_allclose(np.array(one, int), np.array(other, int), atol=3)


def test_the_same_chance_gives_the_same_burst() -> None:
    bursts_made = [
        make_burst(smooth_still(), BOX, 64, 8, 9, np.random.default_rng(seed)) for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(bursts_made[0][0], bursts_made[1][0])
    np.testing.assert_array_equal(bursts_made[0][1], bursts_made[1][1])
    assert not np.array_equal(bursts_made[0][1], bursts_made[2][1])


def low_pixels(stills: int) -> NDArray[np.floating]:
    """The motion of as many bursts, in low pixels at 16×16."""
    return 8 * np.stack([draw_motion(25, 16, np.random.default_rng(i)) for i in range(stills)])


def test_motion_is_smooth_in_time_sub_pixel_and_grows_away_from_the_centre(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Means over 200 stills; the hand apart."""
    monkeypatch.setattr(stills_to_films, "HAND", 0.0)
    motion = low_pixels(200)
    size = np.linalg.norm(motion, axis=-1).mean((0, 2))
    step = np.linalg.norm(np.diff(motion, axis=1), axis=-1).mean()
    assert (np.diff(size[12:]) > 0).all() and (np.diff(size[:13]) < 0).all()
    assert 0.3 < size.mean() < 0.6
    assert 0.02 < step < 0.15


def test_a_hand_moves_the_whole_frame_from_one_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its displacement between frames n apart is 0.3·√(2·(1 − exp(−2π·2 Hz·n/25 Hz))) RMS an axis,
    0.27 low pixels from one frame to the next."""
    motion = low_pixels(400)
    monkeypatch.setattr(stills_to_films, "HAND", 0.0)
    held = motion - low_pixels(400)
    assert np.ptp(held, axis=2).max() < 1e-5
    assert not held[:, 12].any()
    for n in (1, 2, 6, 12):
        found = np.sqrt(np.mean((held[:, n:] - held[:, :-n]) ** 2))
        assert found == pytest.approx(
            0.3 * np.sqrt(2 - 2 * np.exp(-2 * np.pi * 2 * n / 25)), rel=0.05
        )


def test_exposure_changes_but_not_at_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    def still_motion(count: int, *_: object) -> NDArray[np.float32]:
        motion = np.full((count, 64, 2), 1e-6, np.float32)
        motion[count // 2] = 0
        return motion

    monkeypatch.setattr(stills_to_films, "draw_motion", still_motion)
    grey = np.full((200, 200, 3), 128, np.uint8)
    frames, _ = make_burst(grey, (20, 20, 128), 128, 8, 25, np.random.default_rng(0))
    levels = np.array([frame.mean((0, 1)) for frame in frames])
    assert levels[12].tolist() == [128, 128, 128]
    assert levels.std(0).min() > 1 and np.abs(levels - 128).max() < 60
    assert np.abs(np.diff(levels, axis=0)).max() < 8
