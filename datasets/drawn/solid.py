"""Solids whose horizontal slices are ellipses: what drawn heads and hair are made of."""

from dataclasses import dataclass

import numpy as np

from datasets.drawn.paint import EXTENT, Floats

HEAD_TOP = -0.84
HEAD_DEPTH = 0.70
PROFILE_SAMPLES = 1024


@dataclass(frozen=True)
class Profile:
    """Half the width and half the depth, head units, of each of PROFILE_SAMPLES slices (float32)
    at the heights of `profile_rows`; outside the solid, a negative width says how far."""

    width: Floats
    depth: Floats


def profile_rows() -> Floats:
    """Returns the y, head units, of the PROFILE_SAMPLES slices."""
    return np.linspace(-EXTENT, EXTENT, PROFILE_SAMPLES)


def superellipse(ratio: Floats, power: float) -> Floats:
    """Returns the height, 0 … 1, of the curve |r|^power + |h|^power = 1 at each ratio r."""
    return np.clip(1 - np.abs(ratio) ** power, 0, None) ** (1 / power)


def solid(y: Floats, width: Floats, depth: Floats, top: float, bottom: float) -> Profile:
    """Returns the profile of a solid that reaches from `top` to `bottom`."""
    # Outside, four times the distance: the slope that the picture divides by is then near 4.
    outside = 4 * np.minimum(0, np.minimum(y - top, bottom - y))
    inside = outside == 0
    return Profile(
        np.where(inside, width, outside).astype(np.float32),
        np.where(inside, depth, 0.01).astype(np.float32),
    )
