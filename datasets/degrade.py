"""High-resolution face crops to the low-resolution frames that the network sees (DESIGN §3).

Convention: low pixel i covers the high pixels scale·i … scale·i + scale − 1 and is sampled at
their centre, high coordinate scale·i + (scale − 1)/2, so no half-pixel shift enters and
`align_corners=False` upsampling puts every pixel back where it came from. Blur and sampling are
both linear and separable, so one matrix an axis does both and only the kept pixels are computed.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from infra.conventions import degradation_matrix

Images = NDArray[np.uint8]
Matrix = NDArray[np.float32]


def degrade(high: Images, scale: int, blur_sigma: float | None) -> Images:
    """Returns the low-resolution frame, h×w×3 uint8 with h = H/scale, of `high`, H×W×3 uint8.

    With a `blur_sigma` (high pixels): Gaussian blur in float, border mirrored without repeating
    the edge, then a sample at the centre of each scale×scale block. With None: the regime of
    §5.7, antialiased bicubic (the kernel stretched by `scale`, as in Pillow and MATLAB). Rounded
    to the nearest level, halves to even. Raises ValueError for another dtype or shape, a size
    that `scale` does not divide, or a `blur_sigma` that is not positive. Paper §5.1, §5.7.
    """
    if high.ndim != 3:
        raise ValueError(f"high: expected an H×W×3 image, got shape {high.shape}")
    return degrade_track(high[None], scale, blur_sigma)[0]


def degrade_track(high: Images, scale: int, blur_sigma: float | None) -> Images:
    """Returns `degrade` of every frame: T×H×W×3 uint8 to T×h×w×3 uint8; raises as it does."""
    _check(high, scale, blur_sigma)
    frames, height, width, channels = high.shape
    rows = _axis_matrix(height, scale, blur_sigma)
    columns = _axis_matrix(width, scale, blur_sigma)
    low = np.empty((frames, len(rows), len(columns), channels), np.uint8)
    for index, frame in enumerate(high):
        fewer_rows = rows @ frame.reshape(height, width * channels).astype(np.float32)
        values = columns @ fewer_rows.reshape(len(rows), width, channels)
        low[index] = np.rint(values).clip(0, 255)
    return low


def _check(high: Images, scale: int, blur_sigma: float | None) -> None:
    if high.dtype != np.uint8:
        raise ValueError(f"high: expected uint8 levels 0-255, got {high.dtype}; convert it first")
    if high.ndim != 4 or high.shape[-1] != 3:
        raise ValueError(f"high: expected RGB frames H×W×3, got shape {high.shape[1:]}")
    height, width = high.shape[1:3]
    if scale < 1:
        raise ValueError(f"scale: expected 1 or more, got {scale}")
    if min(height, width) < scale or height % scale or width % scale:
        raise ValueError(
            f"high: size {height}×{width} is not a multiple of scale {scale}; resize it first"
        )
    if blur_sigma is not None and not 0 < blur_sigma < float("inf"):
        raise ValueError(
            f"blur_sigma: expected a positive number of pixels, or None for bicubic, "
            f"got {blur_sigma}"
        )


@lru_cache(maxsize=16)
def _axis_matrix(size: int, scale: int, blur_sigma: float | None) -> Matrix:
    return degradation_matrix(size, scale, blur_sigma).astype(np.float32)
