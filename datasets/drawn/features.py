"""The parts of a drawn face that move by themselves: eyes, mouth, and the glasses before them."""

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.drawn.identity import Identity
from datasets.drawn.paint import Floats, Pixels, fill, pixels, stroke

CURVE = np.linspace(0, 1, 9)


@dataclass(frozen=True)
class Expression:
    """What a face does in one frame: mouth and lids 0 closed … 1 open, smile −1 … 1, gaze in
    −1 … 1, brows raised by 0 … 1."""

    mouth: float
    smile: float
    rounded: float
    lids: float
    gaze_x: float
    gaze_y: float
    brows: float


def draw_features(
    canvas: Pixels, person: Identity, expression: Expression, yaw: float, pitch: float
) -> None:
    """Draws eyes, mouth and glasses on a copy of the skin texture, N×N×3 uint8, in place.

    `yaw` and `pitch` (radians) only shift the glasses, which sit before the face.
    """
    for side in (-1, 1):
        _eye(canvas, person, expression, side)
    _mouth(canvas, person, expression)
    if person.glasses != "none":
        _glasses(canvas, person, 0.10 * np.sin(yaw), 0.10 * np.sin(pitch))


def _darker(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return colour[0] * factor, colour[1] * factor * 0.95, colour[2] * factor * 0.93


def _lids(person: Identity, expression: Expression, side: int) -> tuple[Floats, Floats]:
    """Returns the upper and the lower lid from the inner to the outer corner, 9×2 each."""
    along = 2 * CURVE - 1
    x = person.eye_x + along * person.eye_width
    slant = -person.eye_slant * along * 0.12
    bow = np.sqrt(np.clip(1 - along**2, 0, 1)) * (1 - 0.15 * along)
    opening = person.eye_height * expression.lids
    lower = person.eye_y + slant + bow * person.eye_height * (0.75 - 0.15 * expression.smile)
    upper = lower - bow * (opening * 1.75 + 0.004)
    return np.stack([side * x, upper], 1), np.stack([side * x, lower], 1)


def _eye(canvas: Pixels, person: Identity, expression: Expression, side: int) -> None:
    upper, lower = _lids(person, expression, side)
    outline = np.concatenate([upper, lower[::-1]])
    crease = upper + np.array([0, -0.022 - 0.012 * expression.lids])
    lid = np.concatenate([crease, upper[::-1]])
    fill(canvas, lid, _darker(person.skin, 0.80))
    stroke(canvas, crease, _darker(person.skin, 0.62), 0.008)
    if expression.lids > 0.08:
        _eyeball(canvas, person, expression, side, outline)
    line = _darker(person.brow_colour, 0.5) if person.lashes > 0.3 else _darker(person.skin, 0.38)
    stroke(canvas, upper, line, 0.010 + 0.014 * person.lashes)
    stroke(canvas, lower, _darker(person.skin, 0.66), 0.007)
    for index in range(3, 9) if person.lashes > 0.3 else ():
        root = upper[index]
        tip = root + np.array([side * 0.022 * (index - 2) / 4, -0.030]) * person.lashes
        stroke(canvas, [root, tip], line, 0.006)


def _eyeball(
    canvas: Pixels, person: Identity, expression: Expression, side: int, outline: Floats
) -> None:
    size = len(canvas)
    around = pixels(outline, size) // 16
    (left, top), (right, bottom) = around.min(0) - 2, around.max(0) + 3
    part = canvas[top:bottom, left:right]
    ball = np.empty_like(part)
    ball[:] = (238, 232, 226)
    offset = np.array([left, top]) * 16
    radius = 0.62 * person.eye_width * 0.72
    centre = np.array(
        [
            side * person.eye_x + 0.45 * person.eye_width * expression.gaze_x,
            person.eye_y - 0.05 * person.eye_height + 0.4 * person.eye_height * expression.gaze_y,
        ]
    )

    def disc(shift: tuple[float, float], share: float, colour: tuple[float, ...]) -> None:
        where = pixels([centre + shift], size)[0] - offset
        length = int(radius * share * size / 2.4 * 16)
        cv2.circle(ball, tuple(map(int, where)), length, colour, -1, cv2.LINE_AA, 4)

    shadow = int((bottom - top) * 0.35)
    ball[:shadow] = (190, 182, 178)
    disc((0, 0), 1.0, _darker(person.iris, 0.45))
    disc((0, 0), 0.84, person.iris)
    disc((0, 0.01), 0.60, tuple(min(255.0, 1.3 * c) for c in person.iris))
    disc((0, 0), 0.44, (12, 10, 12))
    disc((0.018, -0.02), 0.22, (250, 250, 250))
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [pixels(outline, size) - offset], 255, cv2.LINE_AA, 4)
    alpha = (mask / np.float32(255))[..., None]
    part[:] = part + alpha * (ball.astype(np.float32) - part)


def _lips(person: Identity, expression: Expression) -> tuple[Floats, Floats, Floats, Floats]:
    """Returns, left to right, the upper edge, the upper and lower inner line and the lower edge."""
    along = 2 * np.linspace(0, 1, 17) - 1
    half = person.mouth_width * (1 + 0.12 * expression.smile - 0.30 * expression.rounded)
    x = along * half
    bow = np.sqrt(np.clip(1 - along**2, 0, 1))
    corners = person.mouth_y - 0.05 * expression.smile * along**2
    gap = 0.115 * expression.mouth * (1 - along**2)
    cupid = (
        1 - 0.28 * np.exp(-((along / 0.13) ** 2)) + 0.1 * np.exp(-(((along**2 - 0.05) / 0.05) ** 2))
    )
    top = corners - 0.35 * gap - bow * person.upper_lip * cupid
    bottom = corners + 0.65 * gap + bow * person.lower_lip
    return (
        np.stack([x, top], 1),
        np.stack([x, corners - 0.35 * gap], 1),
        np.stack([x, corners + 0.65 * gap], 1),
        np.stack([x, bottom], 1),
    )


def _mouth(canvas: Pixels, person: Identity, expression: Expression) -> None:
    top, upper, lower, bottom = _lips(person, expression)
    fill(canvas, np.concatenate([top, upper[::-1]]), _darker(person.lip, 0.88))
    fill(canvas, np.concatenate([lower, bottom[::-1]]), person.lip)
    shine = np.stack([lower[5:12, 0], 0.5 * (lower + bottom)[5:12, 1]], 1)
    stroke(canvas, shine, tuple(min(255.0, c * 1.16 + 8) for c in person.lip), 0.012)
    for index in range(3, 14, 2):
        crack = np.stack([lower[index], 0.35 * lower[index] + 0.65 * bottom[index]])
        stroke(canvas, crack, _darker(person.lip, 0.86), 0.005)
    gap = float(lower[8, 1] - upper[8, 1])
    if gap > 0.012:
        fill(canvas, np.concatenate([upper, lower[::-1]]), (48, 16, 18))
        tongue = np.stack(
            [lower[3:14, 0], lower[3:14, 1] - 0.3 * gap * (1 - np.linspace(-1, 1, 11) ** 2)], 1
        )
        fill(canvas, np.concatenate([tongue, lower[3:14][::-1]]), (150, 70, 72))
        _teeth(canvas, upper, min(0.55 * gap, 0.05))
    else:
        stroke(canvas, upper, _darker(person.lip, 0.42), 0.012)
    stroke(canvas, top[[0, 1]], _darker(person.skin, 0.5), 0.010)
    stroke(canvas, top[[-1, -2]], _darker(person.skin, 0.5), 0.010)


def _teeth(canvas: Pixels, upper: Floats, height: float) -> None:
    inside = upper[2:15]
    edge = np.stack(
        [inside[:, 0], inside[:, 1] + height * np.sqrt(1 - np.linspace(-0.95, 0.95, 13) ** 2)], 1
    )
    fill(canvas, np.concatenate([inside, edge[::-1]]), (236, 230, 216))
    for index in range(1, 12):
        stroke(canvas, [inside[index], edge[index]], (180, 170, 158), 0.004)


def _glasses(canvas: Pixels, person: Identity, right: float, down: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 33)
    round_ = person.glasses == "round"
    cos, sin = np.cos(turn), np.sin(turn)
    if not round_:
        cos, sin = np.sign(cos) * np.sqrt(np.abs(cos)), np.sign(sin) * np.sqrt(np.abs(sin))
    wide, high, apart = 0.205, 0.175 if round_ else 0.135, 1.02 * person.eye_x
    shift = np.array([right, person.eye_y + down])
    for side in (-1, 1):
        rim = np.stack([side * apart + wide * cos, 0.02 + high * sin], 1)
        stroke(canvas, rim + shift, person.glasses_colour, 0.026)
        glint = np.array([(-0.11, -0.07), (-0.05, -0.10)]) + np.array([side * apart, 0])
        stroke(canvas, glint + shift, (235, 238, 240), 0.012)
        hinge = np.array([side * (apart + wide), -0.02]) + shift
        arm = [hinge, (side * 0.8, person.eye_y - 0.06)]
        stroke(canvas, arm, person.glasses_colour, 0.024)
    inner = apart - wide
    bridge = np.array([(-inner, -0.01), (0, -0.04), (inner, -0.01)])
    stroke(canvas, bridge + shift, person.glasses_colour, 0.024)
