"""What is around a drawn head in one clip: background, neck, shoulders, ears."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from datasets.drawn.identity import Colour, Identity
from datasets.drawn.paint import ZOOM, Floats, Pixels, fill, grid, noise, smooth, stroke


@dataclass(frozen=True)
class Pose:
    """Angles in radians (yaw to the right of the picture, pitch down, roll clockwise), shift of
    the head in head units, and scale about 1."""

    yaw: float
    pitch: float
    roll: float
    right: float
    down: float
    scale: float


@dataclass(frozen=True)
class Scene:
    """The background picture, which slides by `velocity` (its widths a second), and the clothes."""

    background: Pixels
    velocity: tuple[float, float]
    sway: float
    cloth: Colour
    trim: Colour
    pattern: str

    def at(self, time: float, size: int, shift: tuple[float, float] = (0.0, 0.0)) -> Pixels:
        """Returns the background at `time` seconds, size×size×3 uint8, moved by `shift` sides."""
        large = len(self.background)
        zoom = 1.6 + 0.05 * np.sin(0.7 * time + self.sway)
        step = large / (size * zoom)
        slack = large - step * size
        x = slack * (0.5 + 0.45 * np.sin(self.velocity[0] * time + self.sway))
        y = slack * (0.5 + 0.45 * np.sin(self.velocity[1] * time + 2 * self.sway))
        x, y = x - step * size * shift[0], y - step * size * shift[1]
        move = np.array([[step, 0, x], [0, step, y]])
        return cv2.warpAffine(
            self.background,
            move,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Returns a scene drawn from a generator, its background 1.5·size pixels a side."""
    large = 3 * size // 2
    cloth, trim = _muted(rng, 30, 225), _muted(rng, 30, 225)
    return Scene(
        background=_background(rng, large),
        velocity=(float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.1, 0.5))),
        sway=float(rng.uniform(0, 6)),
        cloth=cloth,
        trim=trim,
        pattern=str(rng.choice(["plain", "stripes", "collar", "vee"])),
    )


def _muted(rng: np.random.Generator, low: float, high: float) -> Colour:
    """Returns a colour of little saturation, as rooms and clothes mostly have."""
    red, green, blue = (rng.uniform(low, high) + rng.uniform(-42, 42, 3)).clip(8, 248).tolist()
    return red, green, blue


def _background(rng: np.random.Generator, size: int) -> Pixels:
    """Returns a room, leaves or a wall, a little or well out of focus as behind a portrait."""
    x, y = grid(size)
    one, two = np.array(_muted(rng, 50, 215)), np.array(_muted(rng, 35, 200))
    blend = smooth((x * rng.normal() + y * rng.normal()) / 2.4 + 0.5 + 0.25 * noise(size, 4, rng))
    picture = (one + (two - one) * blend[..., None]).clip(0, 255).astype(np.uint8)
    kind = rng.choice(["room", "leaves", "wall"])
    if kind == "room":
        for _ in range(26):
            corner, extent = rng.uniform(-1.3, 1.1, 2), rng.uniform(0.08, 0.6, 2)
            box = corner + extent * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
            fill(picture, box, _muted(rng, 25, 230))
            stroke(picture, box, _muted(rng, 15, 120), 0.012)
    elif kind == "leaves":
        for _ in range(220):
            centre, turn = rng.uniform(-1.2, 1.2, 2), rng.uniform(0, np.pi)
            t = np.linspace(0, 2 * np.pi, 12)
            leaf = np.stack([0.12 * np.cos(t), 0.045 * np.sin(t)], 1)
            rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            fill(picture, centre + leaf @ rotation, (two * rng.uniform(0.5, 1.5)).tolist())
    else:
        for line in np.arange(-1.2, 1.2, rng.uniform(0.12, 0.3)):
            stroke(picture, [(-1.2, line), (1.2, line + 0.05)], (two * 0.8).tolist(), 0.014)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.004, 0.016) * size)
    grain = 3 * noise(size, size // 3, rng) + 8 * noise(size, 20, rng)
    result: Pixels = (picture + grain[..., None]).clip(0, 255).astype(np.uint8)
    return result


def draw_body(
    canvas: Pixels,
    person: Identity,
    scene: Scene,
    shift: tuple[float, float],
    tint: tuple[float, float, float],
    move: tuple[float, float],
) -> None:
    """Draws neck and shoulders, which follow the head by half its shift and are moved in the
    picture by `move` (its head units), in place."""
    follow = 0.5 * np.array(shift)
    skin = tuple(0.72 * c * t for c, t in zip(person.skin, tint, strict=True))
    cloth = tuple(c * t for c, t in zip(scene.cloth, tint, strict=True))
    neck, top = person.head_width * 0.62, person.chin - 0.35

    def place(points: ArrayLike) -> Floats:
        return (np.asarray(points) + follow) * ZOOM + move

    right = [(neck + 0.1, 0.98), (1.0, 1.08), (1.45, 1.28), (1.6, 2)]
    fill(canvas, place([(-x, y) for x, y in right[::-1]] + right), cloth)
    if scene.pattern == "stripes":
        for step in np.arange(1.03, 1.5, 0.06):
            line = place([(-1.4, step + 0.1), (0, step), (1.4, step + 0.1)])
            stroke(canvas, line, scene.trim, 0.022)
    throat = [(-neck, top), (neck, top), (neck + 0.03, 0.97), (0, 1.12), (-neck - 0.03, 0.97)]
    if scene.pattern == "vee":
        throat[3] = (0, 1.35)
    fill(canvas, place(throat), skin)
    under = np.linspace(0, np.pi, 12)
    shadow = np.stack([neck * np.cos(under), person.chin - 0.06 + 0.17 * np.sin(under)], 1)
    shade = tuple(0.62 * c for c in skin)
    fill(canvas, place(np.concatenate([shadow, [(-neck, top), (neck, top)]])), shade)
    if scene.pattern != "collar":
        stroke(canvas, place(throat[2:]), scene.trim, 0.04)
        return
    for side in (-1, 1):
        flap = [(neck + 0.03, 0.9), (0.05, 1.14), (neck * 0.9, 1.24), (neck + 0.2, 1.0)]
        outline = place([(side * x, y) for x, y in flap])
        fill(canvas, outline, scene.trim)
        stroke(canvas, outline, tuple(0.6 * c for c in scene.trim), 0.012)


def draw_ears(
    canvas: Pixels,
    person: Identity,
    pose: Pose,
    tint: tuple[float, float, float],
    move: tuple[float, float],
) -> None:
    """Draws both ears, set back from the face; `move` is that of `draw_body`."""
    turn = np.linspace(0, 2 * np.pi, 17)
    outline = np.stack([np.cos(turn), np.sin(turn)], 1)
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    rotation = np.array([[cos, sin], [-sin, cos]])
    for side in (-1, 1):
        wide = 0.085 * max(0.2, np.cos(pose.yaw) - side * 1.2 * np.sin(pose.yaw))
        centre = np.array(
            [
                side * (person.head_width + 0.01) * np.cos(pose.yaw) - 0.12 * np.sin(pose.yaw),
                person.eye_y + 0.12 - 0.12 * np.sin(pose.pitch),
            ]
        )
        for share, factor in ((1.0, 0.86), (0.62, 0.66), (0.36, 0.78)):
            shape = centre + outline * [wide * share, person.ear_size * share]
            colour = tuple(factor * c * t for c, t in zip(person.skin, tint, strict=True))
            placed = shape @ rotation * pose.scale + [pose.right, pose.down]
            fill(canvas, placed * ZOOM + move, colour)
