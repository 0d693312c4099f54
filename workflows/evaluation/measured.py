"""What was measured, as data: which measures there are, and their values clip by clip.

Suffixes: N clips, V rows of the table, M measures, I items of the pairing, D descriptor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAYERS = ("pool3", "pool4", "fc7")
MEASURES = ("psnr", "ssim", *(f"l2_{layer}" for layer in LAYERS), "consistency", "temporal")


@dataclass(frozen=True)
class Measured:
    """What was measured of N clips, sorted by clip id; NaN where there was nothing to measure.

    `values` is N×V×M; `descriptors` and, with a judge, `judged` are I×V×D: the mean of the unit
    descriptors of each item's clips.
    """

    clip_ids: list[str]
    identities: list[str]
    values: NDArray[np.float64]
    descriptors: NDArray[np.float32]
    judged: NDArray[np.float32] | None
