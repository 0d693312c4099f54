"""Motion that is measured, against motion that was made, SciPy, and the laws of composition."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from datasets.clips.flow import STIFFNESS, believed, bending_energy, fit_spline, measure_motion
from datasets.clips.stills_to_films import draw_motion, make_burst, render
from datasets.drawn.dataset import draw_clip
from datasets.drawn.face import paint_head
from datasets.drawn.identity import draw_identity
from infra.conventions import lattice

CONTROLS = lattice(np.linspace(-1, 1, 8))
PLACES = lattice((2 * np.arange(16) + 1) / 16 - 1)
LOW = 8  # low pixels in half the side, of 16


@pytest.fixture(scope="module")
def stills() -> list[NDArray[np.uint8]]:
    """Frames 256×256 of three drawn people; the box within leaves room for what moves in."""
    heads = [paint_head(draw_identity(0, person), 384) for person in range(3)]
    return [next(draw_clip(head, [5, n], 1, 256, 25)) for n, head in enumerate(heads)]


def spline(shifts: NDArray, places: NDArray) -> NDArray[np.float64]:
    """SciPy's thin-plate spline through the control shifts, at N places."""
    return RBFInterpolator(CONTROLS, shifts.astype(float), kernel="thin_plate_spline")(places)


def error(found: NDArray, true: NDArray) -> float:
    """Mean end-point error in low pixels over the frame."""
    return float(np.linalg.norm(spline(found - true, PLACES), axis=1).mean() * LOW)


def size_of(shifts: NDArray) -> float:
    return error(shifts, np.zeros_like(shifts))


@pytest.mark.parametrize(("size", "share"), [(128, 0.15), (64, 0.25)])
def test_the_motion_of_a_burst_is_found(
    stills: list[NDArray[np.uint8]], size: int, share: float
) -> None:
    """End-point error over that of the identity, mean over three people and all 24 neighbours."""
    found, before = [], []
    for seed, still in enumerate(stills):
        box, chance = (38.0, 38.0, 180.0), np.random.default_rng(seed)
        frames, true = make_burst(still, box, size, size // 16, 25, chance)
        measured = measure_motion(frames)
        assert (measured.shape, measured.dtype) == ((25, 64, 2), np.float32)
        assert not measured[12].any()
        found += [error(m, t) for m, t in zip(measured, true, strict=True)]
        before += [size_of(t) for t in true]
    assert np.mean(found) < share * np.mean(before)


def test_the_motion_of_photographs_is_found_to_a_tenth(faces: Path) -> None:
    """The same on real faces, each frame a JPEG of its own."""
    found, before = [], []
    for seed, path in enumerate(sorted((faces / "lfw-deepfunneled").glob("*/*_0001.jpg"))[:6]):
        still, chance = cv2.imread(str(path)), np.random.default_rng(seed)
        frames, true = make_burst(still, (65.0, 65.0, 120.0), 128, 8, 9, chance)
        packed = [
            cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 75])[1] for frame in frames
        ]
        measured = measure_motion([cv2.imdecode(data, cv2.IMREAD_COLOR) for data in packed])
        found += [error(m, t) for m, t in zip(measured, true, strict=True)]
        before += [size_of(t) for t in true]
    assert np.mean(found) < 0.1 * np.mean(before)


def test_the_motion_of_mirrored_frames_is_mirrored(stills: list[NDArray[np.uint8]]) -> None:
    """d'(−x, y) = (−d_x, d_y)(x, y), so that control shifts change columns and x its sign."""
    pair = [*two_frames(stills[0])]
    there = measure_motion(pair)[0]
    mirrored = measure_motion([frame[:, ::-1] for frame in pair])[0]
    expected = there.reshape(8, 8, 2)[:, ::-1].reshape(64, 2) * (-1, 1)
    assert size_of(there) > 0.3
    assert error(mirrored, expected) < 0.1 * size_of(there)


def test_there_and_back_is_nowhere(stills: list[NDArray[np.uint8]]) -> None:
    """d(p) + e(p + d(p)) = 0 for the motion d from one frame to another and e from there."""
    for still in stills:
        one, other = two_frames(still)
        there, back = measure_motion([other, one])[0], measure_motion([one, other])[0]
        moved = spline(there, PLACES)
        rest = moved + spline(back, PLACES + moved)
        assert np.linalg.norm(rest, axis=1).mean() < 0.15 * np.linalg.norm(moved, axis=1).mean()


def test_frames_that_have_nothing_in_common_are_not_known(
    stills: list[NDArray[np.uint8]],
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    frames = [stills[0], noise, stills[0], noise, stills[0]]
    measured = measure_motion([frame[64:192, 64:192] for frame in frames])
    assert np.isnan(measured[[1, 3]]).all()
    np.testing.assert_allclose(measured[[0, 2, 4]], 0, atol=1e-3)


def test_where_nothing_is_believed_an_affine_motion_goes_on() -> None:
    """Only the left half has weights; the right half follows, because affine motion bends nothing.
    In pixels of 128, flow = (3 + x/40 − y/50, x/60) at pixel centres."""
    y, x = np.mgrid[:128, :128].astype(np.float32)
    flow = np.stack([3 + x / 40 - y / 50, x / 60], -1)
    weight = (x < 64).astype(np.float32)
    shifts = fit_spline(flow, weight)
    at = (CONTROLS + 1) * 64 - 0.5
    expected = np.stack([3 + at[:, 0] / 40 - at[:, 1] / 50, at[:, 0] / 60], -1) / 64
    np.testing.assert_allclose(shifts, expected, atol=1e-4)


def test_the_fit_is_the_least_squares_with_bending_energy() -> None:
    """The gradient of Σ w |A s − f|² + STIFFNESS sᵀ E s vanishes at the fit: with A by SciPy, w and
    f of the cells by hand, 2 Aᵀ w (A s − f) + 2 STIFFNESS E s = 0."""
    chance = np.random.default_rng(0)
    flow = chance.normal(size=(64, 64, 2)).astype(np.float32)
    weight = (chance.random((64, 64)) < 0.7).astype(np.float32)
    shifts = fit_spline(flow, weight).astype(float)
    cells = weight.reshape(16, 4, 16, 4)
    share = cells.mean((1, 3)).reshape(-1, 1)
    summed = (flow.reshape(16, 4, 16, 4, 2) * cells[..., None]).mean((1, 3)).reshape(-1, 2) / 32
    values = spline(np.eye(64), PLACES)
    gradient = values.T @ (share * (values @ shifts) - summed)
    gradient += STIFFNESS * bending_energy() @ shifts
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_bending_energy_is_that_of_scipys_spline() -> None:
    """8π sᵀ E s = ∫∫ d_xx² + 2 d_xy² + d_yy² (finite differences over [-6, 6]²; what lies beyond
    adds under 1 %)."""
    shifts = np.random.default_rng(1).normal(size=64)
    line = np.linspace(-6, 6, 601)
    d = spline(shifts[:, None], lattice(line)).reshape(601, 601)
    step = line[1] - line[0]
    xx = (d[1:-1, 2:] - 2 * d[1:-1, 1:-1] + d[1:-1, :-2]) / step**2
    yy = (d[2:, 1:-1] - 2 * d[1:-1, 1:-1] + d[:-2, 1:-1]) / step**2
    xy = (d[2:, 2:] - d[2:, :-2] - d[:-2, 2:] + d[:-2, :-2]) / (4 * step**2)
    found = (xx**2 + 2 * xy**2 + yy**2).sum() * step**2
    assert 8 * np.pi * shifts @ bending_energy() @ shifts == pytest.approx(found, rel=0.05)


def test_flow_is_believed_where_it_returns_and_stays_inside() -> None:
    there = np.zeros((128, 128, 2), np.float32)
    there[..., 0] = 10
    back = -there
    back[:, 80:] = 0
    share = believed(there, back)
    assert share[:, :69].all() and not share[:, 71:].any()
    assert not believed(there, there).any()


def two_frames(still: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A face and the same face moved, neither of them a copy of pixels of the other."""
    motion = draw_motion(25, 16, np.random.default_rng(0))
    return [render(still, (38.0, 38.0, 180.0), 128, motion[t]) for t in (0, 24)]


def test_frames_too_small_to_be_measured_have_no_motion() -> None:
    measured = measure_motion([np.zeros((8, 8, 3), np.uint8)] * 3)
    assert not measured[1].any() and np.isnan(measured[[0, 2]]).all()
