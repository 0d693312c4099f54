"""Paints what a drawn person's head carries: skin, bumps and hair, once, in head coordinates.

A frame then only looks these textures up where the turned head puts them, so every freckle moves
with the face. Legend: N pixels a side of a texture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.drawn.hair import hair_cover, hair_shape, paint_hair
from datasets.drawn.identity import Identity
from datasets.drawn.paint import EXTENT, Floats, Pixels, grid, noise, pixels, smooth, stroke
from datasets.drawn.solid import HEAD_DEPTH, HEAD_TOP, Profile, profile_rows, solid, superellipse


@dataclass(frozen=True)
class Head:
    """Everything of a person that does not change from frame to frame.

    Attributes:
        skin: N×N×3 uint8 texture of the face, seen from the front.
        relief: N/3×N/3×3 float32: height of the bumps, its x and its y derivative.
        hair: N×N×3 uint8; hair_alpha: N×N float32 in [0, 1], what of it lies over the face.
        shape, hair_shape: the solids under both; hair_shape is None for a bald head.
    """

    identity: Identity
    skin: Pixels
    relief: Floats
    hair: Pixels
    hair_alpha: Floats
    shape: Profile
    hair_shape: Profile | None


def paint_head(person: Identity, size: int) -> Head:
    """Returns the textures of a person, `size` pixels a side."""
    rng = np.random.default_rng(person.texture_seed)
    return Head(
        identity=person,
        skin=_skin(person, size, rng),
        relief=_relief(person, size // 3),
        hair=paint_hair(person, size, rng),
        hair_alpha=hair_cover(person, size, rng),
        shape=_head_profile(person),
        hair_shape=hair_shape(person),
    )


def _head_profile(person: Identity) -> Profile:
    y = profile_rows()
    end = np.where(y < 0, HEAD_TOP, person.chin)
    ratio = np.clip(y / end, 0, 1)
    jaw = np.where(y < 0, 2.3, person.squareness)
    width = person.head_width * np.clip(1 - ratio**jaw, 0, None) ** (1 / jaw)
    width = width * np.where(y < 0, 1, 1 - person.taper * smooth(ratio))
    depth = HEAD_DEPTH * superellipse(ratio, 2.6) + 0.02
    return solid(y, width, depth, HEAD_TOP, person.chin)


def _skin(person: Identity, size: int, rng: np.random.Generator) -> Pixels:
    x, y = grid(size)
    mouth, nose = person.mouth_y, person.eye_y + person.nose_length
    tone = 1 + 0.05 * noise(size, 5, rng) + 0.035 * noise(size, 24, rng)
    tone += (0.03 + 0.03 * person.age) * noise(size, size // 3, rng)
    eye = np.hypot((np.abs(x) - person.eye_x) / 1.3, y - person.eye_y)
    tone -= 0.20 * np.exp(-((eye / 0.10) ** 2))
    tone -= 0.10 * person.age * _blob(np.abs(x), y, person.eye_x, person.eye_y + 0.10, 0.09, 0.03)
    tone -= 0.24 * _blob(x, y, 0, nose + 0.045, person.nose_width, 0.03)
    tone -= 0.16 * _blob(x, y, 0, mouth + person.lower_lip + 0.06, 0.10, 0.03)
    tone += 0.10 * _blob(x, y, 0, nose - 0.04, 0.035, 0.05)
    tone += 0.07 * _blob(x, y, 0, -0.40, 0.25, 0.12)
    fold = np.abs(x) - person.nose_width - 0.05 - 0.45 * (y - nose)
    along = smooth((y - nose + 0.05) / 0.06) * smooth((mouth + 0.06 - y) / 0.08)
    tone -= (0.05 + 0.17 * person.age) * np.exp(-((fold / 0.018) ** 2)) * along
    blush = 0.10 * _blob(np.abs(x), y, 0.36, person.eye_y + 0.24, 0.13, 0.10)
    blush += 0.08 * _blob(x, y, 0, nose - 0.02, 0.07, 0.06)
    skin = np.array(person.skin, np.float32) * tone[..., None]
    skin *= 1 + blush[..., None] * np.array([0.6, -0.9, -0.6], np.float32)
    canvas: Pixels = skin.clip(0, 255).astype(np.uint8)
    _spots(canvas, person, rng)
    _wrinkles(canvas, person, rng)
    _nose(canvas, person)
    _beard(canvas, person, rng)
    _brows(canvas, person, rng)
    return canvas


def _blob(x: Floats, y: Floats, cx: float, cy: float, wide: float, high: float) -> Floats:
    result: Floats = np.exp(-(((x - cx) / wide) ** 2) - ((y - cy) / high) ** 2)
    return result


def _shaded(person: Identity, factor: float) -> tuple[float, float, float]:
    red, green, blue = person.skin
    return red * factor, green * factor * 0.94, blue * factor * 0.92


def _spots(canvas: Pixels, person: Identity, rng: np.random.Generator) -> None:
    size = len(canvas)
    for _ in range(int(110 * person.freckles)):
        spot = (rng.normal(0, 0.30), person.eye_y + 0.2 + rng.normal(0, 0.12))
        radius = int(rng.uniform(0.004, 0.011) * size / (2 * EXTENT) * 16)
        centre = pixels([spot], size)[0]
        colour = _shaded(person, rng.uniform(0.62, 0.8))
        cv2.circle(canvas, tuple(map(int, centre)), radius, colour, -1, cv2.LINE_AA, 4)
    for _ in range(int(rng.integers(0, 4))):
        spot = (rng.uniform(-0.45, 0.45), rng.uniform(-0.3, 0.6))
        radius = int(rng.uniform(0.010, 0.018) * size / (2 * EXTENT) * 16)
        centre = pixels([spot], size)[0]
        colour = _shaded(person, 0.42)
        cv2.circle(canvas, tuple(map(int, centre)), radius, colour, -1, cv2.LINE_AA, 4)


def _wrinkles(canvas: Pixels, person: Identity, rng: np.random.Generator) -> None:
    for line in range(int(4 * person.age)):
        x = np.linspace(-0.28, 0.28, 16) + rng.normal(0, 0.03)
        y = -0.50 + 0.07 * line + 0.04 * (x / 0.3) ** 2 + rng.normal(0, 0.006, 16)
        stroke(canvas, np.stack([x, y], 1), _shaded(person, 0.84), 0.006)
    for side in (-1, 1):
        for line in range(int(4 * person.age)):
            start = np.array([person.eye_x + person.eye_width * 1.1, person.eye_y + 0.01])
            end = start + np.array([0.08, 0.045 * (line - 1)])
            curve = np.linspace(start, end, 5) * [side, 1]
            stroke(canvas, curve, _shaded(person, 0.80), 0.005)


def _nose(canvas: Pixels, person: Identity) -> None:
    tip, wide = person.eye_y + person.nose_length, person.nose_width
    for side in (-1, 1):
        wing = [(0.78, -0.055), (1.02, -0.02), (0.98, 0.02), (0.70, 0.035), (0.5, 0.02)]
        curve = np.array([(side * wide * a, tip + b) for a, b in wing])
        stroke(canvas, curve, _shaded(person, 0.66), 0.013)
        nostril = np.array(
            [
                (side * wide * (0.48 + 0.26 * np.cos(t)), tip + 0.016 + 0.017 * np.sin(t))
                for t in np.linspace(0, 2 * np.pi, 12)
            ]
        )
        dark = _shaded(person, 0.30)
        cv2.fillPoly(canvas, [pixels(nostril, len(canvas))], dark, cv2.LINE_AA, 4)
        bridge = np.array([(side * wide * 0.42, person.eye_y), (side * wide * 0.36, tip - 0.10)])
        stroke(canvas, bridge, _shaded(person, 0.90), 0.012)


def _brows(canvas: Pixels, person: Identity, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        for _ in range(130):
            along = rng.uniform(-1, 1)
            arch = person.brow_tilt * along * 0.1 - 0.03 * (1 - (along - 0.25) ** 2)
            thick = person.brow_thickness * (1.0 - 0.55 * max(along, 0))
            x = person.eye_x + along * person.eye_width * 1.25
            y = person.eye_y - person.brow_height + 0.03 + arch + rng.uniform(-1, 1) * thick
            tilt = 0.02 + 0.03 * (along + 1) / 2
            hair = np.array([(x, y + 0.012), (x + tilt, y - 0.012 + 0.016 * (along + 1))])
            shade = rng.uniform(0.75, 1.25)
            colour = tuple(min(255.0, c * shade) for c in person.brow_colour)
            stroke(canvas, hair * [side, 1], colour, 0.007)


def _beard(canvas: Pixels, person: Identity, rng: np.random.Generator) -> None:
    if person.beard == "none":
        return
    count = {"stubble": 1500, "full": 3200, "goatee": 2200, "moustache": 2200}[person.beard]
    length = 0.010 if person.beard == "stubble" else 0.05
    mouth = person.mouth_y
    for _ in range(count):
        x, y = rng.uniform(-0.72, 0.72), rng.uniform(-0.05, person.chin)
        lip = ((x / (person.mouth_width * 0.95)) ** 2) + ((y - mouth) / 0.06) ** 2 < 1
        above = abs(x) < person.mouth_width * 1.15 and -0.11 < y - mouth < -0.02
        below = abs(x) < person.mouth_width * 0.75 and y - mouth > 0.08
        cheek = y > mouth - 0.20 + 0.30 * (0.62 - abs(x)) / 0.62 + rng.normal(0, 0.02)
        sides = abs(x) > 0.44 or y - mouth > 0.07 or (above and abs(x) > 0.02)
        fits = {
            "moustache": above,
            "goatee": above or below or (abs(abs(x) - person.mouth_width) < 0.04 and above),
        }.get(person.beard, (cheek and sides) or above)
        if not fits or lip:
            continue
        shade = rng.uniform(0.6, 1.2)
        colour = tuple(min(255.0, c * shade) for c in person.brow_colour)
        if person.beard == "stubble":
            colour = tuple(
                0.5 * a + 0.5 * b for a, b in zip(colour, _shaded(person, 0.8), strict=True)
            )
        end = (x + rng.normal(0.1 * np.sign(x), 0.3) * length, y + length)
        stroke(canvas, np.array([(x, y), end]), colour, 0.008)


def _relief(person: Identity, size: int) -> Floats:
    """Returns what stands out from the ellipses, with its derivatives: it moves and shades."""
    x, y = grid(size)
    tip = person.eye_y + person.nose_length
    ridge = smooth((y - person.eye_y + 0.06) / (person.nose_length + 0.06))
    nose = ridge * smooth((tip + 0.05 - y) / 0.07)
    width = person.nose_width * (0.42 + 0.35 * ridge)
    height = 0.17 * person.nose_bump * nose * np.exp(-((x / width) ** 2))
    height = height - 0.05 * _blob(np.abs(x), y, person.eye_x, person.eye_y, 0.13, 0.08)
    brow = person.eye_y - person.brow_height
    height = height + 0.03 * _blob(np.abs(x), y, person.eye_x, brow, 0.2, 0.06)
    height = height + 0.035 * _blob(x, y, 0, person.mouth_y, person.mouth_width, 0.08)
    height = height + 0.035 * _blob(x, y, 0, person.chin - 0.12, 0.13, 0.08)
    height = height + 0.035 * _blob(np.abs(x), y, 0.36, person.eye_y + 0.2, 0.14, 0.10)
    step = 2 * EXTENT / size
    down, right = np.gradient(height, step)
    return np.stack([height, right, down], -1).astype(np.float32)
