"""What the warp predictor P does: its control grid drawn on a neighbouring frame, and the frame
after warping (M)."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.layers.bicubic import Bicubic
from model.layers.warping import warp
from model.network import Network
from model.pixels import to_pixels
from model.thin_plate_spline import dense_field
from workflows.shared.pictures import Picture, write_text
from workflows.shared.restoring import to_bytes
from workflows.shared.warp_grid import draw_grid, grid_lines

TILE, MARGIN = 192, 12  # the corners of the grid may move out of the picture
COLOUR = (0, 200, 90)


@torch.no_grad()
def warp_overlay(network: Network, low: NDArray[np.uint8]) -> Picture:
    """One clip T×h×w×3: the central frame with the regular grid, and the first, the previous, the
    next and the last frame of the network's window with the grid at the places where P reads them;
    below, each frame warped, to be compared with the central one."""
    assert network.predictor is not None
    reach, step = network.radius * network.frame_step, network.frame_step
    offsets = sorted({-reach, -step, step, reach})
    middle = len(low) // 2
    frames = to_pixels(torch.from_numpy(low[[middle + offset for offset in offsets]].copy()),
                       torch.device("cpu"))  # fmt: skip
    central = to_pixels(torch.from_numpy(low[middle : middle + 1].copy()), torch.device("cpu"))
    shifts = network.predictor(central.expand(len(frames), -1, -1, -1), frames)
    large = _enlarged(frames)
    warped = to_bytes(warp(large, dense_field(shifts, TILE, TILE)))
    still, *lines = grid_lines(torch.cat((torch.zeros_like(shifts[:1]), shifts)))
    above = [_titled(_grid(to_bytes(_enlarged(central))[0], still), "central")]
    below = [_titled(to_bytes(_enlarged(central))[0], "central")]
    for place, offset in enumerate(offsets):
        picture = to_bytes(large)[place]
        above.append(_titled(_grid(picture, lines[place]), f"frame {offset:+d}"))
        below.append(_titled(warped[place], f"frame {offset:+d}, warped"))
    return np.concatenate([np.concatenate(above, axis=1), np.concatenate(below, axis=1)])


def _enlarged(frames: torch.Tensor) -> torch.Tensor:
    return Bicubic(TILE // frames.shape[-1], TILE).enlarge(frames)


def _grid(picture: Picture, lines: NDArray[np.float64]) -> Picture:
    """The picture with white around it, and the lines of the grid over it."""
    drawn = _framed(picture, MARGIN, MARGIN)
    draw_grid(drawn, lines, COLOUR, MARGIN)
    return drawn


def _titled(picture: Picture, title: str) -> Picture:
    """The picture in a tile of the common size, with a line of text above."""
    border = (TILE + 2 * MARGIN - picture.shape[0]) // 2
    framed = _framed(picture, border + 18, border)
    write_text(framed, title, MARGIN, 14)
    return framed


def _framed(picture: Picture, above: int, border: int) -> Picture:
    sides = ((above, border), (border, border), (0, 0))
    return np.pad(picture, sides, constant_values=255)
