"""The hair of a drawn person: its volume, its strands, and where it hides the face."""

import cv2
import numpy as np

from datasets.drawn.identity import Identity
from datasets.drawn.paint import EXTENT, Floats, Pixels, grid, noise, smooth
from datasets.drawn.solid import HEAD_DEPTH, HEAD_TOP, Profile, profile_rows, solid, superellipse


def hair_shape(person: Identity) -> Profile | None:
    """Returns the solid that the hair fills, None for a bald head."""
    if person.hair_style == "bald":
        return None
    y = profile_rows()
    volume, style = person.hair_volume, person.hair_style
    top = HEAD_TOP - volume
    if style == "afro":
        centre, radius = -0.34, 0.70 + 2.2 * volume
        round_ = superellipse((y - centre) / radius, 2.0)
        width = radius * round_ * 0.98
        return solid(y, width, HEAD_DEPTH * 1.15 * round_, centre - radius, centre + radius)
    bottom = {"long": 1.6, "bob": 0.52}.get(style, 0.12)
    crown = superellipse(np.clip(y / top, 0, 1), 2.3)
    width = (person.head_width + 0.6 * volume) * crown
    if style in ("long", "bob"):
        width = np.where(y > 0, width * (1 + 0.16 * smooth(y / 0.6)), width)
        width = width + person.hair_wave * np.sin(9 * y) * smooth((y + 0.3) / 0.5)
    if style == "bob":
        width = width * superellipse(np.clip(y / bottom, 0, 1), 5)
    elif style != "long":
        width = width * superellipse(np.clip((y + 0.1) / (bottom + 0.1), 0, 1), 3)
    if style == "bun":
        knot = 0.24 * superellipse(np.clip((y - top + 0.04) / 0.19, -1, 1), 2.0)
        width, top = np.maximum(width, knot), top - 0.15
    depth = np.where(y < 0, 1.12 * HEAD_DEPTH * crown, 0.5)
    return solid(y, width, depth + 0.02, top, bottom)


def paint_hair(person: Identity, size: int, rng: np.random.Generator) -> Pixels:
    """Returns the strands, size×size×3 uint8."""
    x, y = grid(size)
    style = person.hair_style
    if style == "afro":
        tone = 0.85 + 0.22 * noise(size, size // 6, rng) + 0.12 * noise(size, size // 3, rng)
    else:
        parting = {"side": -0.32, "fringe": 0.0, "receding": 0.1}.get(style, 0.08)
        crown = np.arctan2(x - parting, y + 1.25)
        hanging = x / (1 + 0.12 * y) + person.hair_wave * np.sin(9 * y)
        strand = np.where(y < 0, crown * 1.25, hanging) if style in ("long", "bob") else crown
        lines = noise(512, 256, rng)[:64].repeat(8, axis=0)
        lines = cv2.GaussianBlur(lines, (0, 0), sigmaX=0.6, sigmaY=12)
        across = ((strand + 2) * 128).astype(np.float32)
        along = ((np.hypot(x, y + 1.2)) * 180).astype(np.float32)
        fine = cv2.remap(lines, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        broad = cv2.remap(
            lines, across / 6, along / 2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        tone = 0.86 + 0.42 * fine + 0.28 * broad
        tone += 0.30 * np.exp(-(((y + 0.66 - 0.25 * x**2) / 0.07) ** 2)) * (0.6 + fine)
    colour = np.array(person.hair, np.float32)
    hair: Pixels = (colour * tone[..., None] + 6).clip(0, 255).astype(np.uint8)
    return hair


def hair_cover(person: Identity, size: int, rng: np.random.Generator) -> Floats:
    """Returns where hair hides the face, size×size float32 in [0, 1].

    That is outside an opening which the style shapes, with strands across its edge.
    """
    x, y = grid(size)
    style, a = person.hair_style, person.head_width
    if style == "bald":
        return np.zeros((size, size), np.float32)
    line = np.full_like(x, person.hairline)
    if style == "side":
        line = line + 0.22 * (x + 0.30) * (x > -0.30) + 0.5 * (-0.30 - x) * (x <= -0.30)
    elif style == "fringe":
        line = line + 0.20 + 0.03 * np.sin(14 * x)
    elif style == "receding":
        line = line - 0.20 + 0.16 * np.exp(-((x / 0.18) ** 2))
    else:
        line = line + 0.10 * np.cos(x / a * 3.1)
    side = a * {"long": 0.80, "bob": 0.76, "afro": 0.86}.get(style, 0.93)
    temple = 0.10 * smooth((y + 0.55) / 0.5) * (0.5 if style in ("long", "bob") else 1.0)
    ragged = noise(size, size // 4, rng) * 0.018
    over_forehead = line - y + ragged
    over_side = np.abs(x) - side - temple + ragged + 0.15 * smooth((line - y + 0.25) / 0.25) - 0.02
    cover = np.maximum(over_forehead, over_side)
    if style not in ("long", "bob"):
        cover = np.minimum(cover, 0.02 - y + 0.6 * (np.abs(x) - a) + 2 * ragged)
    sharp = size / (2 * EXTENT) / 2.0
    alpha: Floats = np.clip(cover * sharp + 0.5, 0, 1).astype(np.float32)
    return alpha
