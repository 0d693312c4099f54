"""What both rooms of the middle floor need and what has one right answer; NumPy alone.

Luma, the warp's control grid, how faces and hands move, and what degradation means. `datasets` has
it on stored bytes and `model` on tensors; a test holds the two equal.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# Y of BT.601 from R, G, B.
LUMA = (0.299, 0.587, 0.114)

# The control points of the thin-plate spline (DESIGN §3): 8×8 over [-1, 1]², corners included.
GRID = 8
CONTROL_POINTS = GRID * GRID

# How a face moves in its crop, standard deviations between frames far apart in time: of all control
# points alike and of each region by itself [low px], turned [radians], zoomed [share].
DRIFT, LOCAL, ANGLE, ZOOM = 0.26, 0.16, 0.02, 0.018
MEMORY = 4.0  # frames over which the motion keeps its direction
SPEED = 0.03  # of the steady drift [low px a frame]
VIGOUR, MOST_VIGOUR = 0.5, 2.5  # spread of its logarithm from clip to clip, and its limit
# The hand that holds the camera: RMS an axis [low px], and the cut-off of its spectrum [Hz].
HAND, HAND_CUTOFF = 0.3, 2.0
BURST_RATE = 25.0  # frames a second of a burst
# Spread of the exposure from frame to frame: of each colour's gain, and of the black [of 1].
GAIN, LIFT = 0.04, 0.02

# OpenCV (float images) and SciPy both cut the Gaussian at this many standard deviations.
GAUSSIAN_TRUNCATE = 4.0
# Keys' kernel as Pillow, MATLAB's imresize and torch's antialiased resize have it.
KEYS_A = -0.5


def control_points() -> Matrix:
    """The 64×2 control points (x, y) in [-1, 1], row by row from the top left."""
    # To the last bit its own mirror image, as frames are mirrored in training.
    half = 2 / (GRID - 1) * np.arange(GRID // 2) - 1
    line = np.concatenate((half, -half[::-1]))
    return lattice(line)


def lattice(line: NDArray[np.float64]) -> Matrix:
    """The places (x, y) that take both coordinates from a `line` of n, n²×2, row by row."""
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


@lru_cache(maxsize=16)
def degradation_matrix(size: int, scale: int, blur_sigma: float | None) -> Matrix:
    """The (size/scale)×size weights that degrade one axis of an image: low = matrix · high.

    Low pixel i covers the high pixels scale·i … scale·i + scale − 1 and is sampled at their centre,
    scale·i + (scale − 1)/2, so that no half-pixel shift enters. With a `blur_sigma` [high px]: a
    Gaussian first, its border mirrored without repeating the edge. With None: Keys' bicubic kernel
    stretched by `scale`, no blur (§5.7). Read-only: it is made once.
    """
    if blur_sigma is None:
        matrix = _bicubic(size, scale)
    else:
        matrix = _centres(size, scale) @ _mirrored_gaussian(size, blur_sigma)
    matrix.flags.writeable = False
    return matrix


def _mirrored_gaussian(size: int, sigma: float) -> Matrix:
    radius = int(GAUSSIAN_TRUNCATE * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    reach = np.pad(np.arange(size), radius, mode="reflect")
    matrix = np.zeros((size, size))
    for row in range(size):
        np.add.at(matrix[row], reach[row : row + 2 * radius + 1], kernel)
    return matrix


def _centres(size: int, scale: int) -> Matrix:
    """The bilinear samples at scale·i + (scale − 1)/2: one pixel, or the mean of two."""
    matrix = np.zeros((size // scale, size))
    for row in range(size // scale):
        matrix[row, scale * row + (scale - 1) // 2] += 0.5
        matrix[row, scale * row + scale // 2] += 0.5
    return matrix


def _bicubic(size: int, scale: int) -> Matrix:
    """Keys' cubic stretched by `scale`; at the border the weights inside add up to 1."""
    centres = scale * np.arange(size // scale) + (scale - 1) / 2
    distance = np.abs(np.arange(size)[None] - centres[:, None]) / scale
    near = ((KEYS_A + 2) * distance - (KEYS_A + 3)) * distance**2 + 1
    far = KEYS_A * (((distance - 5) * distance + 8) * distance - 4)
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)
