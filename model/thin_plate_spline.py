"""Thin-plate spline fields over a fixed grid of control points (paper §3, warping module M).

Convention: points, shifts and fields are (x, y) in normalised coordinates, where [-1, 1] spans the
image from the outer edge of its first pixel to the outer edge of its last (`align_corners=False`):
the centre of pixel i of n lies at (2 i + 1) / n - 1. The 8 × 8 control points (their number:
GRID in infra/conventions.py) fill [-1, 1]², corners included, and are listed row by row from the
top left. A field says where each output pixel
reads its input, so a shift of +x makes the image move to the left.

The interpolant of the 64 shifts s through the control points c, with U(r) = r² log r, solves

    [K  Q] [w]   [s]      K_ij = U(|c_i - c_j|),   Q_i = (1, x_i, y_i)
    [Qᵀ 0] [a] = [0]

and at a point p is d(p) = Σ_j w_j U(|p - c_j|) + a · (1, p). The system depends on the grid alone,
so d = A(p) s with one constant matrix A = [U Q](p) · (inverse's first 64 columns). The paper leaves
the place of the control points open; the corners of the image are among them here.

Suffixes: B batch, N points, K = 64 control points, H W rows and columns.
"""

from functools import lru_cache

import torch
from torch import Tensor

from infra import conventions
from infra.conventions import CONTROL_POINTS, GRID
from model.pixels import constant, exact

CPU = torch.device("cpu")
ITERATIONS = 6  # of the inverse: an error shrinks each time by the steepness of the spline


def control_points(
    dtype: torch.dtype = torch.float64, device: torch.device | None = None
) -> Tensor:
    """Return the 64×2 control points (x, y) in [-1, 1], row by row from the top left; the same
    tensor each time, not to be changed."""
    return _control_points(dtype, torch.device(device or CPU))


@lru_cache(maxsize=8)
def _control_points(dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made once a device: a copy from the host in every step is one that a GPU is waited for.
    with torch.inference_mode(False), torch.no_grad():
        return torch.from_numpy(conventions.control_points()).to(device, dtype)


def pixel_centres(height: int, width: int) -> Tensor:
    """Return the (height·width)×2 float64 centres (x, y) of the pixels, row by row."""
    x = (2 * torch.arange(width, dtype=torch.float64) + 1) / width - 1
    y = (2 * torch.arange(height, dtype=torch.float64) + 1) / height - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).reshape(height * width, 2)


def spline_matrix(points_N2: Tensor) -> Tensor:
    """Return the N×64 float64 matrix A that turns control shifts into displacements at `points`."""
    return _basis(points_N2.to(torch.float64)) @ _weights()


def displacement_at(shifts_BK2: Tensor, points: Tensor) -> Tensor:
    """Evaluate the spline of B×64×2 shifts at normalised points N×2, or B×N×2, each spline at its
    own; returns B×N×2 displacements.

    It interpolates: at control point j it gives shift j. In float64: meant for measurements and
    training targets; the network uses `dense_field`, which keeps its matrix.
    """
    weights = _weights(shifts_BK2.device) @ shifts_BK2.double()
    return (_basis(points.to(shifts_BK2.device, torch.float64)) @ weights).to(shifts_BK2)


def between(one_BK2: Tensor, other_BK2: Tensor) -> Tensor:
    """Return the B×64×2 shifts by which one of two frames is read to look like another.

    `one` and `other` are their shifts against the same third frame: third(p) = one(p + d(p)) =
    other(p + e(p)). At a control point q of `one`, with p + d(p) = q found by p ← q - d(p), which
    converges because splines of faces are far less steep than 1: one(q) = other(p + e(p)).
    """
    place = torch.zeros_like(one_BK2) + control_points(one_BK2.dtype, one_BK2.device)
    origin = place - one_BK2
    for _ in range(ITERATIONS):
        origin = place - displacement_at(one_BK2, origin)
    return origin + displacement_at(other_BK2, origin) - place


def mirrored(shifts: Tensor) -> Tensor:
    """Return the shifts …×64×2 of frames that are mirrored left to right: columns change places,
    and x its sign."""
    x, y = shifts.unflatten(-2, (GRID, GRID)).flip(-2).unbind(-1)
    return torch.stack((-x, y), dim=-1).flatten(-3, -2)


def dense_field(shifts: Tensor, height: int, width: int) -> Tensor:
    """Return the sampling grid B×height×width×2 for `grid_sample(align_corners=False)`.

    `shifts` is B×64×2, how far each control point reads from its own place, in normalised (x, y).
    Zero shifts give the identity. The constant matrix is computed in float64 and used in float32
    (float64 when `shifts` are float64), also inside autocast. Raises ValueError on another shape.
    """
    if shifts.ndim != 3 or shifts.shape[1:] != (CONTROL_POINTS, 2):
        raise ValueError(
            f"shifts: expected B×{CONTROL_POINTS}×2 (8×8 control points, x and y), "
            f"got {tuple(shifts.shape)}"
        )
    dtype = torch.float64 if shifts.dtype == torch.float64 else torch.float32
    with exact(shifts.device):
        matrix, identity = _constants(height, width, dtype, shifts.device)
        # One product for the whole batch: 64 rows by 2·B columns, not B thin ones.
        columns = shifts.to(dtype).transpose(0, 1).flatten(1)
        moved = (matrix @ columns).view(height * width, -1, 2)
        # Added after the product, which a GPU may round to TF32.
        field = moved.add_(identity[:, None]).transpose(0, 1).contiguous()
    return field.view(-1, height, width, 2)


@constant
def _constants(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    return _computed(height, width, dtype, device)


@lru_cache(maxsize=16)
def _computed(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    # Built outside inference mode: a tensor made inside it could not serve a later training step.
    with torch.inference_mode(False), torch.no_grad():
        points = pixel_centres(height, width)
        return spline_matrix(points).to(device, dtype), points.to(device, dtype)


@lru_cache(maxsize=4)
def _weights(device: torch.device = CPU) -> Tensor:
    """The 67×64 matrix from shifts to w and a: the inverse's first 64 columns."""
    with torch.inference_mode(False), torch.no_grad():
        basis = _basis(control_points())
        system = torch.zeros(CONTROL_POINTS + 3, CONTROL_POINTS + 3, dtype=torch.float64)
        system[:CONTROL_POINTS] = basis
        system[CONTROL_POINTS:, :CONTROL_POINTS] = basis[:, CONTROL_POINTS:].T
        return torch.linalg.inv(system)[:, :CONTROL_POINTS].contiguous().to(device)


def _basis(points: Tensor) -> Tensor:
    """[U Q] at float64 points …×2: …×67."""
    square = (points[..., None, :] - control_points(device=points.device)).square().sum(-1)
    # r² log r = ½ r² log r², and its limit at r = 0 is 0.
    kernel = 0.5 * torch.xlogy(square, square)
    return torch.cat((kernel, torch.ones_like(points[..., :1]), points), dim=-1)
