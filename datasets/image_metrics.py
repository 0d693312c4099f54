"""Metrics of pictures that need no network: SSIM, flicker, and whether the input bears them out."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from datasets.degrade import degrade
from infra.conventions import LUMA

Picture = NDArray[np.uint8]
EXACT = 100.0  # [dB] stands for two equal pictures, whose PSNR is infinite


def ssim_luma(restored: Picture, truth: Picture) -> float:
    """SSIM in [-1, 1] of two H×W×3 uint8 pictures on BT.601 luma, at least 11×11 pixels.

    As its authors have it (Wang et al. 2004): Gaussian window of σ 1.5 cut to 11×11, K 0.01 and
    0.03, covariances of the population, mean over the pixels whose window lies inside.
    """
    return float(
        structural_similarity(
            restored @ LUMA, truth @ LUMA, data_range=255.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
    )  # fmt: skip


def consistency(restored: Picture, low: Picture, scale: int, blur_sigma: float | None) -> float:
    """PSNR on luma [dB] between the input h×w×3 uint8 and the restored face degraded to it again.

    It says whether the face explains what was seen; a face that does not was invented in part. The
    reverse does not hold: of all faces that degrade to the input, only one is the true one. Equal
    pictures give 100 dB. Raises ValueError as `degrade.degrade` does.
    """
    again = degrade(restored, scale, blur_sigma) @ LUMA
    error = float(np.square((again - low @ LUMA) / 255).mean())
    return EXACT if error == 0 else min(EXACT, -10 * float(np.log10(error)))


def motion(first: Picture, second: Picture) -> NDArray[np.float32]:
    """Optical flow H×W×2 (x, y) in pixels between two H×W×3 uint8 frames (Farnebäck's).

    Pixel p of `first` shows what `second` shows at p + flow(p).
    """
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    flow: NDArray[np.float32] = cv2.calcOpticalFlowFarneback(
        greys[0], greys[1], None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5,
        poly_sigma=1.2, flags=0,
    )  # fmt: skip
    return flow


def temporal_difference(first: Picture, second: Picture, flow: NDArray[np.float32]) -> float:
    """Mean |luma of `first` - luma of `second` read along `flow`|, in levels 0-255.

    Pixels that the flow leads out of the picture are left out. With the flow of the true frames,
    what remains is flicker, and the error of the flow, which the same figure of the true frames
    shows.
    """
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = cv2.remap(second, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = np.abs((first.astype(np.float64) - moved) @ LUMA)
    return float(difference[inside].mean()) if inside.any() else float("nan")
