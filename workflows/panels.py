"""Pictures that a training shows in TensorBoard; validation's own is in scoring.py."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from model.augmentation import augment_faces
from model.batches import centre_slice, to_pixels
from model.thin_plate_spline import GRID, displacement_at
from model.warp_predictor import WarpPredictor
from workflows.scoring import enlarged, pictures, to_bytes

Picture = NDArray[np.uint8]
SIDE = 192  # pixels of a low frame on the panel
POINTS = 49  # points along a line of the grid
COLOUR = (255, 220, 0)


@torch.no_grad()
def warp_panel(predictor: WarpPredictor, low: Picture, num_frames: int, rows: int = 4) -> Picture:
    """Where P samples: N×T×h×w×3 low frames → a row a clip: first frame, centre, last frame.

    Over the window's first and last frame lie the 8 × 8 control lines of the spline, drawn where
    the warped frame reads its pixels; a still clip shows them straight.
    """
    device = predictor.last.weight.device
    frames = centre_slice(torch.from_numpy(np.array(low[:rows])), num_frames)
    pixels = to_pixels(frames, device)
    lines = _lines()
    shown = []
    for clip, window in zip(frames.numpy(), pixels, strict=True):
        ends = window[[0, -1]]
        shifts = predictor(window[num_frames // 2].expand_as(ends), ends).float().cpu()
        places = (lines + displacement_at(shifts, lines)).numpy()
        shown.append([_drawn(clip[0], places[0]), enlarged(clip[num_frames // 2], SIDE)[0],
                      _drawn(clip[-1], places[1])])  # fmt: skip
    return np.concatenate([np.concatenate(row, axis=1) for row in shown])


def augmented_panel(high: Picture, degrade: float) -> Picture:
    """What the recogniser learns from: N×S×S×3 faces above, one augmentation of each below."""
    # The training's own draws must not depend on whether a picture was made.
    with torch.random.fork_rng(devices=[]):
        changed = to_bytes(augment_faces(pictures(high), degrade))
    return np.concatenate([np.concatenate(list(high), axis=1), np.concatenate(changed, axis=1)])


def _lines() -> torch.Tensor:
    """The 2·8·49 points (x, y) in [-1, 1] of the lines through the control points."""
    along = torch.linspace(-1, 1, POINTS, dtype=torch.float64)
    at = torch.linspace(-1, 1, GRID, dtype=torch.float64)
    y, x = torch.meshgrid(at, along, indexing="ij")
    level = torch.stack((x, y), dim=-1)
    return torch.cat((level, level.flip(-1))).reshape(-1, 2)


def _drawn(frame: Picture, places: NDArray[np.float64]) -> Picture:
    """A low frame, enlarged, with the polylines at `places` (x, y in [-1, 1], edge to edge)."""
    picture = enlarged(frame, SIDE)[0].copy()
    fraction = 16  # OpenCV takes pixels times 2⁴
    corners = np.rint(((places + 1) / 2 * SIDE - 0.5) * fraction).astype(np.int32)
    cv2.polylines(picture, list(corners.reshape(-1, POINTS, 1, 2)), isClosed=False, color=COLOUR,
                  thickness=1, lineType=cv2.LINE_AA, shift=4)  # fmt: skip
    return picture
