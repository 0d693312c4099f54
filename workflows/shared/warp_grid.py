"""The warp's control grid drawn on a picture, at the places where the warped frame reads it."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infra.conventions import GRID
from model.thin_plate_spline import displacement_at
from workflows.shared.pictures import Picture

POINTS = 49  # points along a line of the grid
FRACTION_BITS = 4  # of a pixel, which keep the lines smooth


def grid_lines(shifts_NK2: Tensor) -> NDArray[np.float64]:
    """Shifts N×64×2 of the control points → N×784×2 points (x, y) in [-1, 1].

    They are the 8 + 8 lines through the control points, moved by the spline.
    """
    along = torch.linspace(-1, 1, POINTS, dtype=torch.float64)
    at = torch.linspace(-1, 1, GRID, dtype=torch.float64)
    y, x = torch.meshgrid(at, along, indexing="ij")
    level = torch.stack((x, y), dim=-1)
    lines = torch.cat((level, level.flip(-1))).reshape(-1, 2)
    moved: NDArray[np.float64] = (lines + displacement_at(shifts_NK2.cpu().double(), lines)).numpy()
    return moved


def draw_grid(
    picture: Picture, points_P2: NDArray[np.float64], colour: tuple[int, int, int], margin: int = 0
) -> None:
    """Draw one of `grid_lines` into a square picture with `margin` pixels around the image."""
    side = len(picture) - 2 * margin
    # OpenCV's pixel centres lie at whole numbers.
    pixels = (points_P2 + 1) / 2 * side - 0.5 + margin
    fixed = np.rint(pixels * 2**FRACTION_BITS).astype(np.int32).reshape(-1, POINTS, 1, 2)
    cv2.polylines(picture, list(fixed), False, colour, 1, cv2.LINE_AA, shift=FRACTION_BITS)
