"""Plots as PNG files. `plt` is Matplotlib's pyplot, told to draw without a screen."""

import io
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

DPI = 110

__all__ = ["figure_png", "plt"]


def figure_png(figure: Figure, dpi: float = DPI) -> bytes:
    """A figure as the bytes of a PNG file; closes it."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="png", dpi=dpi)
    plt.close(figure)
    return stream.getvalue()
