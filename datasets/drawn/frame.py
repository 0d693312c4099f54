"""Draws one frame of a drawn person: the turned, lit head before shoulders and background.

Head and hair are solids whose horizontal slices are ellipses, so turning them has a closed form:
a slice of half width W and half depth D, turned by yaw θ, is seen S = √(W²cos²θ + D²sin²θ) wide,
and the point seen at x' = S sin(ψ) is (W sin α, D cos α) with α = ψ − atan2(D sin θ, W cos θ).
Pitch and the relief (nose, brows, chin) then shift what is seen by depth, which is the parallax.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.drawn.face import Head
from datasets.drawn.features import Expression, draw_features
from datasets.drawn.paint import EXTENT, ZOOM, Floats, Pixels, grid, smooth
from datasets.drawn.scene import Pose, Scene, draw_body, draw_ears
from datasets.drawn.solid import PROFILE_SAMPLES, Profile


@dataclass(frozen=True)
class Light:
    """A distant light: unit direction towards it (x right, y down, z to the camera), the share of
    light without direction, and the RGB tint, about 1."""

    direction: tuple[float, float, float]
    ambient: float
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class _Surface:
    """Where a solid is seen, G×G float32 each: texture x and y in head units, depth, distance to
    its edge (positive inside, picture head units) and the three parts of its normal."""

    x: Floats
    y: Floats
    depth: Floats
    inside: Floats
    normal: tuple[Floats, Floats, Floats]


def draw_frame(
    head: Head,
    scene: Scene,
    pose: Pose,
    expression: Expression,
    light: Light,
    time: float,
    size: int,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Pixels:
    """Returns the picture, size×size×3 uint8 RGB, of a person in a scene at `time` seconds.

    All in it is moved by `shift` (to the right, down), in sides of the picture, to a sixteenth of a
    pixel of the canvas that it is drawn on.
    """
    canvas = max(2 * size, 256)
    move = (2 * EXTENT * shift[0], 2 * EXTENT * shift[1])
    x, y = _into_head(pose, move, canvas // 2)
    picture = scene.at(time, canvas, shift)
    hair = hair_seen = None
    if head.hair_shape is not None:
        hair = _surface(head.hair_shape, x, y, pose)
        hair_seen = _lit(head.hair, hair, light, canvas)
        behind = cv2.convertScaleAbs(hair_seen, alpha=0.62)
        picture = _over(picture, behind, _alpha(hair.inside, canvas))
    draw_body(picture, head.identity, scene, (pose.right, pose.down), light.tint, move)
    draw_ears(picture, head.identity, pose, light.tint, move)

    face = _face(head, x, y, pose, expression)
    skin = head.skin.copy()
    draw_features(skin, head.identity, expression, pose.yaw, pose.pitch)
    picture = _over(picture, _lit(skin, face, light, canvas), _alpha(face.inside, canvas))
    if hair is not None and hair_seen is not None:
        cover = _look_up(head.hair_alpha, hair, canvas)
        picture = _over(picture, hair_seen, _alpha(hair.inside, canvas) * cover)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def _face(head: Head, x: Floats, y: Floats, pose: Pose, expression: Expression) -> _Surface:
    """Returns the face's surface, jaw and brows moved by the expression."""
    person = head.identity
    jaw = np.float32(0.10 * expression.mouth)
    length = np.float32(person.chin + jaw - person.mouth_y)
    raised = np.exp(-(((y - np.float32(person.eye_y - person.brow_height)) * 12.5) ** 2))
    moved = y - jaw * smooth((y - np.float32(person.mouth_y)) / length)
    moved += np.float32(0.03 * expression.brows) * raised
    return _with_relief(_surface(head.shape, x, moved, pose), head.relief, pose)


def _into_head(pose: Pose, move: tuple[float, float], size: int) -> tuple[Floats, Floats]:
    x, y = grid(size)
    x = (x / ZOOM - np.float32(pose.right + move[0] / ZOOM)) / pose.scale
    y = (y / ZOOM - np.float32(pose.down + move[1] / ZOOM)) / pose.scale
    cos, sin = np.float32(np.cos(pose.roll)), np.float32(np.sin(pose.roll))
    return cos * x + sin * y, cos * y - sin * x


def _surface(shape: Profile, x: Floats, y: Floats, pose: Pose) -> _Surface:
    cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
    wide, deep = np.maximum(shape.width, 1e-3) * cos, shape.depth * sin
    seen = np.where(shape.width > 0, np.hypot(wide, deep), shape.width)
    tables = (seen, np.gradient(seen, 2 * EXTENT / (PROFILE_SAMPLES - 1)), np.arctan2(deep, wide))
    row = ((y + EXTENT) * ((PROFILE_SAMPLES - 1) / (2 * EXTENT)) + 0.5).astype(np.int32)
    row = row.clip(0, PROFILE_SAMPLES - 1)
    half, slope, turned = (table.astype(np.float32).take(row) for table in tables)
    width, depth = shape.width.take(row), shape.depth.take(row)

    inside = (half - np.abs(x)) / np.sqrt(1 + slope * slope)
    across = np.clip(x / np.maximum(half, np.float32(1e-3)), -1, 1)
    angle = np.arcsin(across) - turned
    z = depth * np.cos(angle)
    facing = np.sqrt(1 - across * across)
    normal = (across, -np.clip(slope, -3, 3) * (0.3 + 0.4 * facing), facing + 0.05)
    return _Surface(
        x=np.maximum(width, 0) * np.sin(angle),
        y=y - z * np.float32(np.sin(pose.pitch)),
        depth=z,
        inside=inside * (pose.scale * ZOOM),
        normal=normal,
    )


def _with_relief(surface: _Surface, relief: Floats, pose: Pose) -> _Surface:
    """Returns the surface with the relief's parallax and slopes."""
    x, y = surface.x, surface.y
    sin_yaw, sin_pitch = np.float32(np.sin(pose.yaw)), np.float32(np.sin(pose.pitch))
    front = smooth(surface.depth / 0.2)
    for _ in range(2):
        bumps = _sample(relief, x, y)
        lift = bumps[..., 0] * front
        x, y = surface.x - lift * sin_yaw, surface.y - lift * sin_pitch
    across, along, facing = surface.normal
    normal = (across - bumps[..., 1] * front, along - bumps[..., 2] * front, facing)
    return _Surface(x, y, surface.depth, surface.inside, normal)


def _sample(texture: Floats | Pixels, x: Floats, y: Floats) -> Floats:
    per_unit = np.float32(len(texture) / (2 * EXTENT))
    shift = np.float32(EXTENT * per_unit - 0.5)
    where_x, where_y = x * per_unit + shift, y * per_unit + shift
    return cv2.remap(texture, where_x, where_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _look_up(texture: Floats | Pixels, surface: _Surface, size: int) -> Floats:
    return _sample(texture, _enlarged(surface.x, size), _enlarged(surface.y, size))


def _enlarged(values: Floats, size: int) -> Floats:
    return cv2.resize(values, (size, size), interpolation=cv2.INTER_LINEAR)


def _lit(texture: Pixels, surface: _Surface, light: Light, size: int) -> Pixels:
    """Returns the texture as seen and lit, size×size×3 uint8: Lambert and a soft highlight."""
    across, along, facing = surface.normal
    length = np.sqrt(across * across + along * along + facing * facing)
    one, two, three = light.direction
    cosine = np.clip((across * one + along * two + facing * three) / length, 0, 1)
    eighth = cosine**8
    shade = light.ambient + (1.14 - light.ambient) * cosine + 0.14 * eighth * eighth * eighth
    gain = _enlarged(cv2.merge([shade * channel for channel in light.tint]), size)
    seen = _look_up(texture, surface, size)
    return cv2.multiply(seen, gain, dtype=cv2.CV_8U)


def _alpha(inside: Floats, size: int) -> Floats:
    per_unit = size / (2 * EXTENT)
    return np.clip(_enlarged(inside, size) * per_unit + 0.5, 0, 1)


def _over(below: Pixels, above: Pixels, alpha: Floats) -> Pixels:
    return cv2.blendLinear(above, below, alpha, 1 - alpha)
