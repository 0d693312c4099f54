"""The constant matrices of model/cpu/convolution.py: discrete Fourier's and Winograd's.

Suffixes: C entering and O leaving channels, F frequencies, k side of a kernel.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor


def fourier_filters(weights_OCkk: Tensor, tile: int) -> Tensor:
    """Fourier transform of the filters, conjugate since layers correlate, as Gauss's three."""
    kernel = weights_OCkk.shape[-1]
    place = torch.arange(tile, dtype=torch.float64)
    phase_y = torch.outer(place[: tile // 2 + 1], place[:kernel])
    phase_x = torch.outer(place, place[:kernel])
    angle = 2 * math.pi / tile * (phase_y[:, None, :, None] + phase_x[None, :, None, :])
    real, imaginary = angle.cos(), angle.sin()
    three = torch.stack((real, imaginary - real, real + imaginary), dim=2)
    return transformed(three.flatten(3).flatten(0, 2), weights_OCkk)


def transformed(matrix: Tensor, weights_OCkk: Tensor) -> Tensor:
    """A float64 F×k² matrix applied to the filters O×C×k×k, as one product → F×C×O."""
    leaving, entering = weights_OCkk.shape[:2]
    columns = weights_OCkk.double().permute(2, 3, 1, 0).reshape(matrix.shape[1], -1)
    return (matrix @ columns).to(weights_OCkk.dtype).view(-1, entering, leaving)


@lru_cache(maxsize=8)
def fourier_matrices(tile: int, kept: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The constant matrices: along y, along x (giving Xr + Xi, Xr, Xi), back along x, and y."""
    with torch.inference_mode(False):
        half = tile // 2 + 1
        place = torch.arange(tile, dtype=torch.float64)
        angle = 2 * math.pi * torch.outer(place, place) / tile
        cosine, sine = angle.cos(), angle.sin()
        to_y = torch.stack((cosine[:half], -sine[:half]), dim=1).flatten(0, 1)
        real, imaginary = torch.cat((cosine, sine), 1), torch.cat((-sine, cosine), 1)
        to_x = torch.stack((real + imaginary, real, imaginary), dim=1).flatten(0, 1)
        c, s = cosine[:kept] / tile, sine[:kept] / tile
        back_real = torch.stack((c - s, -s, -c), dim=2).flatten(1)
        back_imaginary = torch.stack((c + s, c, -s), dim=2).flatten(1)
        from_x = torch.cat((back_real, back_imaginary))
        # A real signal: frequencies 1 … n/2 - 1 stand for their mirror images too.
        twice = torch.full((half,), 2.0 / tile, dtype=torch.float64)
        twice[0] = 1 / tile
        if tile % 2 == 0:
            twice[-1] = 1 / tile
        from_y = torch.stack(
            (twice * cosine[:kept, :half], -twice * sine[:kept, :half]), dim=2
        ).flatten(1)
        return to_y.float(), to_x.float(), from_x.float(), from_y.float()


@lru_cache(maxsize=1)
def winograd_matrices() -> tuple[Tensor, Tensor, Tensor]:
    """36×36 for a tile, 36×9 (float64) for a filter, 16×36 for the way back.

    A product of polynomials is known by its values at 0, ±1, ½, -2 and infinity (Toom and Cook);
    with V the matrix of powers of these points, y = V₄ᵀ (V₃ g · V₆⁻ᵀ d), along both axes. These
    points lose half as many digits as 0, ±1, ±2 do.
    """
    with torch.inference_mode(False):
        points = torch.tensor((0, 1, -1, 0.5, -2), dtype=torch.float64)

        def powers(count: int) -> Tensor:
            infinity = torch.zeros(1, count, dtype=torch.float64)
            infinity[0, -1] = 1
            return torch.cat((points[:, None] ** torch.arange(count), infinity))

        to, filters, back = torch.linalg.inv(powers(6)).T, powers(3), powers(4).T
        to, filters, back = (
            torch.kron(m.contiguous(), m.contiguous()) for m in (to, filters, back)
        )
        return to.float(), filters, back.float()
