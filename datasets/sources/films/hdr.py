"""Shows film of high dynamic range or of wide gamut as an ordinary screen would.

One table of three dimensions takes R'G'B' as coded to R'G'B' of BT.709 as BT.1886 shows it:

    light, in nits / 203   the white of paper is 203 nits, and becomes white (BT.2408)
      PQ                   ST 2084
      HLG                  BT.2100 on a screen of 1000 nits, system gamma 1.2
      an ordinary curve    BT.1886, of which nothing is brighter than white
    BT.2020 to BT.709      negative light is cut off
    what is brighter       R, G and B are divided by the largest of them: it keeps its hue
    code = light^(1/2.4)

So a face keeps the light that it has beside a sheet of paper, and what is brighter than paper has
no more of it: curves that show lamps too, as films are graded, make paper grey and faces dull.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from datasets.sources.films.filters import filtering
from infra import storage

Curve = Literal["PQ", "HLG", "ordinary"]
Light = NDArray[np.float64]  # …×3

WHITE, PEAK = 203.0, 1000.0  # nits
NODES = 65  # of the table a side
FROM_2020 = np.array([
    [1.660491, -0.587641, -0.072850],
    [-0.124550, 1.132900, -0.008349],
    [-0.018151, -0.100579, 1.118730],
])  # fmt: skip
LUMINANCE = np.array([0.2627, 0.6780, 0.0593])  # of BT.2020


class Toned:
    """Shows frames of one size, coded R'G'B' of 12 bits (gbrp12le), by the table of `curve`."""

    def __init__(self, frame: av.VideoFrame, curve: Curve) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.cube"
            with storage.writing(str(path)):
                path.write_text(_cube(curve))
            self.graph = filtering(frame, "lut3d", file=str(path), interp="tetrahedral")

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as it is shown, of the same format and size."""
        self.graph.push(frame)
        return self.graph.vpull()


@cache
def _cube(curve: Curve) -> str:
    """The table as a .cube file, red the fastest."""
    axis = np.linspace(0, 1, NODES)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    shown = as_shown(np.stack([red, green, blue], -1), curve).reshape(-1, 3)
    rows = (f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in shown)
    return f"LUT_3D_SIZE {NODES}\n" + "\n".join(rows) + "\n"


def as_shown(coded: Light, curve: Curve) -> Light:
    """R'G'B' of BT.709 in 0 … 1 for R'G'B' of BT.2020 in 0 … 1, by the formulas above."""
    light = np.maximum(_light(coded, curve) @ FROM_2020.T, 0)
    return (light / np.maximum(light.max(-1, keepdims=True), 1)) ** (1 / 2.4)


def _light(coded: Light, curve: Curve) -> Light:
    """Light of each primary on the screen, 1 for the white of paper."""
    if curve == "ordinary":
        return coded**2.4
    if curve == "PQ":
        power = coded ** (32 / 2523)
        nits = 10_000 * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (
            8192 / 1305
        )
        return nits / WHITE
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return PEAK / WHITE * (scene @ LUMINANCE)[..., None] ** 0.2 * scene
