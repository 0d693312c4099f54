"""The parameters that make one drawn person look like nobody else.

Head coordinates: x to the right of the picture, y down, z towards the camera, in units in which
the square crop spans −1.2 … 1.2 and a head is about 1.3 wide and 1.7 high. Colours are RGB 0-255.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (246, 214, 190),
    (235, 192, 160),
    (222, 170, 132),
    (198, 142, 104),
    (160, 108, 76),
    (122, 80, 56),
    (92, 60, 44),
    (240, 200, 184),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (28, 24, 24),
    (58, 38, 26),
    (98, 64, 38),
    (146, 92, 46),
    (206, 166, 96),
    (160, 66, 30),
    (150, 148, 148),
    (226, 222, 216),
)
IRISES: tuple[Colour, ...] = (
    (60, 36, 20),
    (98, 62, 30),
    (84, 108, 56),
    (70, 118, 160),
    (104, 122, 134),
    (40, 80, 96),
)
GLASSES_COLOURS: tuple[Colour, ...] = ((24, 22, 22), (110, 28, 30), (70, 50, 32), (176, 150, 90))
HAIR_STYLES = ("bald", "short", "side", "fringe", "afro", "long", "bob", "receding", "bun")
BEARDS = ("none", "none", "none", "stubble", "full", "goatee", "moustache")


@dataclass(frozen=True)
class Identity:
    """What stays the same in every clip of a person; lengths in head units."""

    texture_seed: int
    head_width: float
    chin: float
    squareness: float
    taper: float
    skin: Colour
    freckles: float
    age: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_slant: float
    iris: Colour
    lashes: float
    brow_height: float
    brow_thickness: float
    brow_tilt: float
    brow_colour: Colour
    nose_length: float
    nose_width: float
    nose_bump: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lip: Colour
    hair_style: str
    hair: Colour
    hairline: float
    hair_volume: float
    hair_wave: float
    beard: str
    glasses: str
    glasses_colour: Colour
    ear_size: float


def draw_identity(seed: int, number: int) -> Identity:
    """Returns person `number` of the collection `seed`; the same two integers, the same person.

    Skin, hair and style go through their lists in an order of the seed's, so that people with
    neighbouring numbers never share them all.
    """
    order = np.random.default_rng([seed, 0])
    skins, hairs = order.permutation(len(SKINS)), order.permutation(len(HAIR_COLOURS))
    styles = order.permutation(len(HAIR_STYLES))
    rng = np.random.default_rng([seed, 1, number])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    skin = _varied(SKINS[skins[number % len(SKINS)]], 9, rng)
    # A prime step through the lists keeps skin, hair and style from going round together.
    hair = _varied(HAIR_COLOURS[hairs[(number * 3 + number // 8) % len(HAIR_COLOURS)]], 10, rng)
    style = HAIR_STYLES[styles[number % len(HAIR_STYLES)]]
    womanly = style in ("long", "bob", "bun") or bool(rng.random() < 0.2)
    eye_y = between(-0.16, -0.02)
    nose_length = between(0.24, 0.36)
    redness = between(0.0, 1.0) if womanly else between(0.0, 0.35)
    lip = (
        skin[0] * 0.86 + 14 * redness,
        skin[1] * (0.66 - 0.2 * redness),
        skin[2] * (0.68 - 0.16 * redness),
    )
    brow = tuple(0.65 * channel + 4 for channel in hair)
    return Identity(
        texture_seed=int(rng.integers(2**31)),
        head_width=between(0.57, 0.72),
        chin=between(0.80, 0.96),
        squareness=between(1.9, 3.0),
        taper=between(0.0, 0.22),
        skin=skin,
        freckles=between(0.3, 1.0) if rng.random() < 0.35 else 0.0,
        age=between(0.0, 1.0),
        eye_x=between(0.23, 0.31),
        eye_y=eye_y,
        eye_width=between(0.105, 0.15),
        eye_height=between(0.045, 0.082),
        eye_slant=between(-0.22, 0.22),
        iris=_varied(IRISES[int(rng.integers(len(IRISES)))], 12, rng),
        lashes=between(0.6, 1.0) if womanly else between(0.0, 0.4),
        brow_height=between(0.11, 0.19),
        brow_thickness=between(0.018, 0.032) if womanly else between(0.028, 0.06),
        brow_tilt=between(-0.25, 0.30),
        brow_colour=(brow[0], brow[1], brow[2]),
        nose_length=nose_length,
        nose_width=between(0.085, 0.165),
        nose_bump=between(0.6, 1.4),
        mouth_y=eye_y + nose_length + between(0.17, 0.25),
        mouth_width=between(0.17, 0.29),
        upper_lip=between(0.022, 0.06),
        lower_lip=between(0.03, 0.075),
        lip=lip,
        hair_style=style,
        hair=hair,
        hairline=between(-0.58, -0.42),
        hair_volume=between(0.05, 0.13),
        hair_wave=between(0.0, 0.05),
        beard="none" if womanly else BEARDS[int(rng.integers(len(BEARDS)))],
        glasses=("round", "square")[int(rng.integers(2))] if rng.random() < 0.35 else "none",
        glasses_colour=GLASSES_COLOURS[int(rng.integers(len(GLASSES_COLOURS)))],
        ear_size=between(0.12, 0.18),
    )


def _varied(colour: Colour, spread: float, rng: np.random.Generator) -> Colour:
    shift = rng.normal(0, spread / 2) + rng.normal(0, spread / 3, 3)
    red, green, blue = (float(np.clip(c + s, 8, 250)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue
