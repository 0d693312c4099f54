"""Bursts from stills: one photograph becomes a short film with known motion. Ours; the paper has
real footage only.

Convention (DESIGN §3): the motion of frame t is 64 shifts (x, y) of the control points of an 8×8
grid over [-1, 1]², corners included, row by row from the top left, where 1 is half the side of the
crop and ±1 are the outer edges of its border pixels. With d_t the thin-plate spline through them,

    central(p) = frame_t(p + d_t(p)),

so the motion is what the warp predictor should say of (central, frame t), and zero at the centre.
A frame is rendered the other way round: frame_t(q) = still(p) for the p with p + d_t(p) = q, which
p ← q − d_t(p) finds, because the spline is far less steep than 1.

Amplitudes (infra/conventions.py) are in low pixels, for frames far apart in time. The hand that
holds the camera comes on top, so that even consecutive frames lie differently on the low grid.

Shapes: T frames, K = 64 control points, G nodes of a lattice.
"""

from functools import lru_cache
from itertools import islice
from math import ceil, pi, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter1d, zoom

from datasets.hand import hand
from datasets.sources.footage import Frame
from datasets.tracking.boxes import Square
from datasets.tracking.crops import crop
from infra.conventions import (
    ANGLE,
    BURST_RATE,
    CONTROL_POINTS,
    DRIFT,
    GAIN,
    GRID,
    HAND,
    LIFT,
    LOCAL,
    MEMORY,
    MOST_VIGOUR,
    SPEED,
    VIGOUR,
    ZOOM,
    control_points,
    lattice,
)

# Splines are evaluated at G×G nodes over more than the crop, for what moves into it.
NODES, REACH, ITERATIONS = 65, 1.5, 6

Field = NDArray[np.float32]


def make_burst(
    still: Frame, box: Square, size: int, scale: int, num_frames: int, chance: np.random.Generator
) -> tuple[list[Frame], Field]:
    """Makes `num_frames` crops size×size×3 of one H×W×3 uint8 RGB `still`, and their motion T×K×2.

    `box` (x, y, side) is the crop in the still; the central frame is that crop itself. `scale`
    says how large a low pixel is, in which motion is drawn. Each frame is sampled from the still
    once, as `crop` does, then its exposure changes.
    """
    still, box = _no_larger_than_needed(still, box, size)
    motion = draw_motion(num_frames, size // scale, chance)
    gain = 1 + GAIN * _wander(num_frames, 3, chance)
    lift = 255 * LIFT * _wander(num_frames, 1, chance)
    frames = []
    for shifts, times, plus in zip(motion, gain, lift, strict=True):
        if not shifts.any():
            frames.append(crop(still, box, size))
            continue
        moved = render(still, box, size, shifts)
        frames.append(np.rint(moved * times + plus).clip(0, 255).astype(np.uint8))
    return frames, motion


def draw_motion(num_frames: int, low_size: int, chance: np.random.Generator) -> Field:
    """Draws T×K×2 shifts, zero at the centre: a steady drift, a wandering similarity and a
    wandering smooth local part, all smooth in time, and the movement of a hand, which is not."""
    pixel = 2 / low_size
    x, y = control_points().T.reshape(2, GRID, GRID)
    vigour = min(np.exp(VIGOUR * chance.standard_normal()), MOST_VIGOUR)
    time = np.arange(num_frames) - num_frames // 2
    steady = SPEED * pixel * time[:, None] * chance.standard_normal(2)
    drift = steady + DRIFT * pixel * _wander(num_frames, 2, chance)
    angle, grow = (_wander(num_frames, 2, chance) * (ANGLE, ZOOM)).T[:, :, None, None]
    turned = np.stack([grow * x - angle * y, angle * x + grow * y], -1)
    coarse = LOCAL * pixel * _wander(num_frames, 32, chance).reshape(num_frames, 16, 2)
    local = (_coarse_to_grid() @ coarse).reshape(num_frames, GRID, GRID, 2)
    held = HAND * pixel * np.array(list(islice(hand(1.0, BURST_RATE, chance), num_frames)))
    held -= held[num_frames // 2]
    motion = vigour * (drift[:, None, None] + turned + local) + held[:, None, None]
    return motion.reshape(num_frames, CONTROL_POINTS, 2).astype(np.float32)


def render(still: Frame, box: Square, size: int, shifts: Field) -> Frame:
    """Reads the frame size×size×3 whose motion is `shifts` K×2 out of the `still`."""
    x, y, side = box
    dense = max(ceil(side / size - 1e-6), 1)
    samples = size * dense
    # Sample u is at q = (2u + 1)/samples − 1; node g of the lattice at REACH·(2g/(G − 1) − 1).
    places = (2 * np.arange(samples) + 1) / samples - 1
    back = _inverse(shifts)
    nodes = _node_of(places).astype(np.float32)
    moved = cv2.remap(back, *np.meshgrid(nodes, nodes), cv2.INTER_LINEAR)
    read_x = x + side / 2 * (1 + places[None, :] + moved[:, :, 0]) - 0.5
    read_y = y + side / 2 * (1 + places[:, None] + moved[:, :, 1]) - 0.5
    sampled = cv2.remap(
        still,
        read_x.astype(np.float32),
        read_y.astype(np.float32),
        cv2.INTER_LINEAR if side >= size else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if dense == 1:
        return sampled
    return cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)


def _inverse(shifts: Field) -> Field:
    """Gives p − q at the nodes q of the lattice, G×G×2, where p + d(p) = q."""
    forth = (_spline_matrix() @ shifts).reshape(NODES, NODES, 2)
    line = np.linspace(-REACH, REACH, NODES, dtype=np.float32)
    q = np.stack(np.meshgrid(line, line), -1)
    back = -forth
    for _ in range(ITERATIONS):
        at = _node_of(q + back)
        back = -cv2.remap(
            forth, at[:, :, 0], at[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return back


def _node_of(place: NDArray) -> NDArray:
    return (place / REACH + 1) * ((NODES - 1) / 2)


@lru_cache(maxsize=1)
def _spline_matrix() -> Field:
    """The G²×K matrix of the thin-plate spline from shifts to displacements at the nodes."""
    nodes = np.linspace(-REACH, REACH, NODES)
    return spline_values(lattice(nodes)).astype(np.float32)


def spline_values(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The N×K matrix of the thin-plate spline from control shifts to displacements at N places."""
    spline = RBFInterpolator(
        control_points(), np.eye(CONTROL_POINTS), kernel="thin_plate_spline", degree=1
    )
    return spline(places)


@lru_cache(maxsize=1)
def _coarse_to_grid() -> NDArray[np.float64]:
    """The K×16 matrix of cubic interpolation from 4×4 to the control points, corners to corners."""
    return zoom(np.eye(16).reshape(4, 4, 16), (2, 2, 1), order=3).reshape(CONTROL_POINTS, 16)


def _wander(num_frames: int, count: int, chance: np.random.Generator) -> NDArray[np.float64]:
    """Draws T×`count` smooth random walks about the central frame, where they are 0.

    Frames n apart differ with the variance 1 − exp(−n² / (4·MEMORY²)), so 1 in the long run.
    """
    margin = ceil(4 * MEMORY)
    noise = chance.standard_normal((num_frames + 2 * margin, count))
    smooth = gaussian_filter1d(noise, MEMORY, axis=0)[margin : margin + num_frames]
    smooth *= sqrt(2 * sqrt(pi) * MEMORY) / sqrt(2)
    return smooth - smooth[num_frames // 2]


def _no_larger_than_needed(still: Frame, box: Square, size: int) -> tuple[Frame, Square]:
    """Shrinks a still by a whole factor where a pixel of the crop covers more than 3×3 of it."""
    factor = int(box[2] / size) // 2
    if factor < 2:
        return still, box
    height, width = (side // factor * factor for side in still.shape[:2])
    small = cv2.resize(
        still[:height, :width], (width // factor, height // factor), interpolation=cv2.INTER_AREA
    )
    x, y, side = (value / factor for value in box)
    return small, (x, y, side)
