"""The motion that the datasets room stores is what the model room means by shifts (DESIGN §3)."""

import numpy as np
import torch

from datasets.clips.stills_to_films import make_burst
from model.layers.warping import warp
from model.thin_plate_spline import dense_field


def test_warping_a_frame_by_its_motion_gives_the_central_one() -> None:
    """warp(frame_t, dense_field(motion_t)) = central frame, away from what moved out of sight; the
    rest is exposure and resampling."""
    y, x = np.mgrid[:240, :240]
    waves = [np.sin(x / 10), np.cos(y / 11), np.sin((x + y) / 15)]
    still = np.rint(127 + 90 * np.stack(waves, -1)).astype(np.uint8)
    for seed in range(4):
        frames, motion = make_burst(
            still, (45.0, 45.0, 150.0), 128, 8, 25, np.random.default_rng(seed)
        )
        images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
        moved = warp(images, dense_field(torch.from_numpy(motion), 128, 128))
        for t in (0, 6, 18, 24):
            before, after = (_residual(each[t], images[12]) for each in (images, moved))
            assert after < 1.0
            assert before > 5 * after


def _residual(image: torch.Tensor, centre: torch.Tensor) -> float:
    """Root mean square, in levels, of what no change of exposure explains, 24 pixels inside."""
    total = 0.0
    for one, other in zip(image, centre, strict=True):
        a, b = (each[24:-24, 24:-24].flatten().double() for each in (one, other))
        design = torch.stack([a, torch.ones_like(a)], 1)
        fitted = design @ torch.linalg.lstsq(design, b).solution
        total += float((fitted - b).square().mean())
    return (total / 3) ** 0.5
