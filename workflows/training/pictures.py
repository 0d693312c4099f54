"""Pictures that a training shows in TensorBoard; validation's own is in validation.py."""

import numpy as np
import torch

from model.layers.warp_predictor import WarpPredictor
from model.objectives.augmentation import augment_faces
from model.pixels import centre_slice, to_pixels
from workflows.shared.pictures import Picture, bare_pixels
from workflows.shared.restoring import pictures, to_bytes
from workflows.shared.warp_grid import draw_grid, grid_lines

SIDE = 192  # pixels of a low frame on the panel
COLOUR = (255, 220, 0)


@torch.no_grad()
def warp_panel(
    predictor: WarpPredictor, low: Picture, num_frames: int, frame_step: int = 1, rows: int = 4
) -> Picture:
    """Where P samples: N×T×h×w×3 low frames → a row a clip: first frame, centre, last frame.

    Over the window's first and last frame lie the 8 × 8 control lines of the spline, drawn where
    the warped frame reads its pixels; a still clip shows them straight.
    """
    device = predictor.last.weight.device
    frames = centre_slice(torch.from_numpy(np.array(low[:rows])), num_frames, frame_step)
    pixels = to_pixels(frames, device)
    shown = []
    for clip, window in zip(frames.numpy(), pixels, strict=True):
        ends = window[[0, -1]]
        lines = grid_lines(predictor(window[num_frames // 2].expand_as(ends), ends))
        first, centre, last = (bare_pixels(clip[place], SIDE) for place in (0, num_frames // 2, -1))
        draw_grid(first, lines[0], COLOUR)
        draw_grid(last, lines[1], COLOUR)
        shown.append([first, centre, last])
    return np.concatenate([np.concatenate(row, axis=1) for row in shown])


def augmented_panel(high: Picture, degrade: float) -> Picture:
    """What the recogniser learns from: N×S×S×3 faces above, one augmentation of each below."""
    # The training's own draws must not depend on whether a picture was made.
    with torch.random.fork_rng(devices=[]):
        changed = to_bytes(augment_faces(pictures(high), degrade))
    return np.concatenate([np.concatenate(list(high), axis=1), np.concatenate(changed, axis=1)])
