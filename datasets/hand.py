"""How a camera moves that is held by hand, standing or walking.

Hand: a first-order low-pass of white noise (an Ornstein-Uhlenbeck process) with cut-off f = 2 Hz,
each axis by itself. Its autocorrelation is rms²·exp(−2π·f·|t|), of which the values at the frames
are an exact recursion. The spectrum is ours; Gavant et al. (IEEE Sensors 2011) model it closer.

Walk: people take 2.0 ± 0.13 steps a second all day (MacDougall and Moore, J. Appl. Physiol. 2005).
The head, and so a camera, bobs once a step and sways once in two; that both are sines is ours.
"""

from collections.abc import Iterator
from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from infra.conventions import HAND_CUTOFF

STEPS, STEPS_SPREAD = 2.0, 0.13  # a second

Floats = NDArray[np.float64]


def hand(rms: float, rate: float, chance: np.random.Generator) -> Iterator[Floats]:
    """Yields without end the displacement (x, y) of frames at `rate` a second, of `rms` an axis in
    whatever unit that has. It has no beginning: the first is as far out as any."""
    keep = exp(-2 * pi * HAND_CUTOFF / rate)
    place = rms * chance.standard_normal(2)
    while True:
        yield place
        place = keep * place + rms * sqrt(1 - keep**2) * chance.standard_normal(2)


def walk(rms: float, times: Floats, chance: np.random.Generator) -> Floats:
    """Returns T×2 displacements (x, y) at `times` T [s]: sway and bob of `rms` each."""
    steps = STEPS + STEPS_SPREAD * chance.standard_normal()
    turns = times[:, None] * np.array([steps / 2, steps]) + chance.uniform(0, 1, 2)
    waves: Floats = sqrt(2) * rms * np.sin(2 * pi * turns)
    return waves
