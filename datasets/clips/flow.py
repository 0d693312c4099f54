"""The motion of real footage: optical flow between sharp frames, fitted by splines. Ours: a teacher
of real motion for P.

Convention: that of `stills_to_films`. With d_t the thin-plate spline through the K control shifts
of frame t, central(p) = frame_t(p + d_t(p)); places are in [-1, 1]², where 1 is half the side of a
frame.

The flow from the central frame to frame t (OpenCV's DIS; Kroeger et al. 2016) is believed where the
flow back from there ends where it began. With f_n its mean over the believed pixels of cell n, w_n
their share of the cell, A the spline's values at the centres of the cells and E its bending energy,
the control shifts s minimise

    Σ_n w_n |A_n s − f_n|² + STIFFNESS · sᵀ E s,    so    (Aᵀ W A + STIFFNESS · E) s = Aᵀ W f.

E is 0 for all that is affine, so that where nothing is believed the shifts go on smoothly.

On photographs moved by `stills_to_films.make_burst` (JPEG of quality 75 on each frame; 0.40 low
pixels of motion in the mean) the end-point error is 0.033 low pixels at 128×128 and 0.07 at 64×64.

Shapes: T frames, S high pixels a side, N = CELLS² cells, K = 64 control points.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.clips.stills_to_films import Field, spline_values
from datasets.sources.footage import Frame
from infra.conventions import CONTROL_POINTS, control_points, lattice

CELLS = 16
TOLERANCE = 1 / 64  # there and back, of half the side: one pixel of 128, an eighth of 16 low ones
LEAST = 0.4  # believed share of a frame: 12 frames apart most have 0.9, two people mostly under 0.3
STIFFNESS = 0.03
SMALLEST = 16  # pixels a side; DIS fails under 12
# One less than the preset's: a quarter of the time less, and the end-point error the same.
PATCH_STRIDE = 4

Matrix = NDArray[np.float64]


def measure_motion(frames: Sequence[Frame]) -> Field:
    """Measures the control shifts T×K×2 float32 of T frames S×S×3 uint8 RGB.

    Those of the central frame are 0; those of a frame of which less than LEAST is believed are NaN,
    as all are where frames are too small to be measured.
    """
    centre = len(frames) // 2
    if len(frames[centre]) < SMALLEST:
        motion = np.full((len(frames), CONTROL_POINTS, 2), np.nan, np.float32)
        motion[centre] = 0
        return motion
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setPatchStride(PATCH_STRIDE)
    motion = np.zeros((len(frames), CONTROL_POINTS, 2), np.float32)
    for places in (range(centre - 1, -1, -1), range(centre + 1, len(frames))):
        there = back = None
        for t in places:
            # The search begins at the motion of the frame before, unless that went astray.
            there = flow.calc(greys[centre], greys[t], there)
            back = flow.calc(greys[t], greys[centre], back)
            share = believed(there, back)
            if share.mean() < LEAST:
                motion[t] = np.nan
                there = back = None
            else:
                motion[t] = fit_spline(there, share)
    return motion


def believed(there: Field, back: Field) -> NDArray[np.float32]:
    """Says 1 where the flow `there` S×S×2 [px] is undone by the flow `back` from where it leads,
    else 0, also where it leads out of the frame; S×S."""
    size = len(there)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    to_x, to_y = x + there[..., 0], y + there[..., 1]
    returned = there + cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR)
    inside = (to_x >= 0) & (to_y >= 0) & (to_x <= size - 1) & (to_y <= size - 1)
    near = np.square(returned).sum(-1) < (TOLERANCE * size / 2) ** 2
    return (inside & near).astype(np.float32)


def fit_spline(flow: Field, weight: NDArray[np.float32]) -> Field:
    """Fits control shifts K×2 to a flow S×S×2 [px], each pixel of it with its S×S `weight`."""
    cells = (CELLS, CELLS)
    share = cv2.resize(weight, cells, interpolation=cv2.INTER_AREA).reshape(-1, 1)
    summed = cv2.resize(flow * weight[..., None], cells, interpolation=cv2.INTER_AREA)
    values, energy = _system()
    wanted = values.T @ summed.reshape(-1, 2).astype(np.float64) * (2 / len(flow))
    normal = values.T @ (share * values) + STIFFNESS * energy
    return np.linalg.solve(normal, wanted).astype(np.float32)


@lru_cache(maxsize=1)
def _system() -> tuple[Matrix, Matrix]:
    """The spline's values N×K at the centres of the cells, and its bending energy K×K."""
    centres = (2 * np.arange(CELLS) + 1) / CELLS - 1
    return spline_values(lattice(centres)), bending_energy()


def bending_energy() -> Matrix:
    """The K×K matrix E with sᵀ E s = ∫∫ d_xx² + 2 d_xy² + d_yy² over the plane, over 8π.

    With U(r) = r² log r between control points and Q = (1, x, y) at them, the spline's weights are
    w = E s, where E is the first K rows and columns of the inverse of [U Q; Qᵀ 0], and the energy
    is 8π wᵀ U w = 8π sᵀ E s (Bookstein 1989).
    """
    points = control_points()
    square = np.square(points[:, None] - points[None]).sum(-1)
    kernel = 0.5 * square * np.log(np.where(square > 0, square, 1))
    affine = np.hstack([np.ones((CONTROL_POINTS, 1)), points])
    system = np.block([[kernel, affine], [affine.T, np.zeros((3, 3))]])
    return np.linalg.inv(system)[:CONTROL_POINTS, :CONTROL_POINTS]
