"""Contact sheets laid out as the paper's Figures 1, 3 and 5: a row a clip, a column a method."""

from collections.abc import Sequence

import numpy as np

from workflows.evaluation.report.samples import Sample
from workflows.shared.pictures import Picture, bare_pixels, text_width, write_text

TILE = 128  # pixels of a face at least
GAP, STRIP = 4, 17  # white between the tiles; the line of text below each


def contact_sheet(
    samples: Sequence[Sample], names: Sequence[str], measure: str, digits: int = 2
) -> Picture:
    """The faces of `names` from left to right, `measure` of each below it; RGB on white.

    `low` shows the low frame's bare pixels. Faces are enlarged by whole factors without smoothing,
    so that the sheet adds nothing of its own; where a method has no picture the tile is grey.
    """
    size = next(iter(samples[0].faces.values())).shape[0]
    tile = size * -(-TILE // size)
    rows = [np.concatenate([_line(name.replace("_", " "), tile) for name in names], axis=1)]
    for number, sample in enumerate(samples, 1):
        tiles, texts = [], []
        for name in names:
            tiles.append(_framed(_face(sample, name, tile)))
            value = sample.values.get(name, {}).get(measure, np.nan)
            exact = name == "ground_truth" or not np.isfinite(value)
            texts.append(_line(f"{number}" if name == names[0] else
                               "" if exact else f"{value:.{digits}f}", tile))  # fmt: skip
        rows += [np.concatenate(tiles, axis=1), np.concatenate(texts, axis=1)]
    return np.concatenate(rows)


def _face(sample: Sample, name: str, tile: int) -> Picture:
    if name == "low":
        return bare_pixels(sample.low, tile)
    if name not in sample.faces:
        return np.full((tile, tile, 3), 190, np.uint8)
    return bare_pixels(sample.faces[name], tile)


def _framed(picture: Picture) -> Picture:
    border = GAP // 2
    return np.pad(picture, ((border, border), (border, border), (0, 0)), constant_values=255)


def _line(text: str, tile: int) -> Picture:
    """A line of text in the middle of a strip as wide as a framed tile; a name that is longer is
    cut."""
    strip = np.full((STRIP, tile + GAP, 3), 255, np.uint8)
    text = text.encode("ascii", "replace").decode()  # OpenCV's font has no more
    while text_width(text) > tile:
        text = text[:-1]
    write_text(strip, text, (tile + GAP - text_width(text)) // 2, STRIP - 5)
    return strip
