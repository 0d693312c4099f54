"""Writes the embedded default data: videos of drawn people who talk and turn.

Each clip of a person has its own light, background, clothes and motion; the person is the same. It
is filmed by somebody who walks and holds the camera by hand.
"""

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from datasets.drawn.face import Head, paint_head
from datasets.drawn.features import Expression
from datasets.drawn.frame import Light, draw_frame
from datasets.drawn.identity import draw_identity
from datasets.drawn.paint import Floats, Pixels
from datasets.drawn.scene import Pose, draw_scene
from datasets.hand import hand, walk
from datasets.video_writer import write_video

# High enough that the coding error is far below what ×8 degradation takes away.
CRF = 14
SHAKE = 0.03  # half a low pixel of 16


def write_dataset(
    folder: str | os.PathLike[str],
    identities: int,
    clips: int,
    frames: int,
    size: int = 128,
    fps: int = 25,
    seed: int = 0,
    shake: float = SHAKE,
) -> list[Path]:
    """Writes `<folder>/person_000/clip_00.mp4` … and returns the paths of all clips, in order.

    Each is H.264 of `frames` frames, `size`×`size` pixels, the face filling the square as a
    detector's crop with a margin would. `shake` is that of `draw_clip`. The same arguments give the
    same pixels; a clip that is already there is kept, whatever its length (give new arguments a new
    folder), and one is only there when complete. Raises ValueError for a count below 1, a `size`
    that is odd or below 16 and a `shake` below 0.
    """
    if identities < 1:
        raise ValueError(f"identities: expected 1 or more, got {identities}")
    return [
        path
        for person in range(identities)
        for path in write_person(folder, person, clips, frames, size, fps, seed, shake)
    ]


def write_person(
    folder: str | os.PathLike[str],
    person: int,
    clips: int,
    frames: int,
    size: int = 128,
    fps: int = 25,
    seed: int = 0,
    shake: float = SHAKE,
) -> list[Path]:
    """Writes the clips of person number `person`, from 0, and returns their paths.

    This is `write_dataset` for one of its people, so that they can be drawn in parallel; it
    raises as that does.
    """
    if person < 0:
        raise ValueError(f"person: expected 0 or more, got {person}")
    for name, value in (("clips", clips), ("frames", frames)):
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    if fps < 1:
        raise ValueError(f"fps: expected 1 frame a second or more, got {fps}")
    if size < 16 or size % 2:
        raise ValueError(f"size: expected an even number of pixels from 16 on, got {size}")
    if shake < 0:
        raise ValueError(f"shake: expected 0 sides of the picture or more, got {shake}")
    wanted = [
        Path(folder) / f"person_{person:03d}" / f"clip_{clip:02d}.mp4" for clip in range(clips)
    ]
    missing = [clip for clip, path in enumerate(wanted) if not path.exists()]
    if missing:
        head = paint_head(draw_identity(seed, person), _texture_size(size))
        for clip in missing:
            pictures = draw_clip(head, [seed, 2, person, clip], frames, size, fps, shake)
            write_video(wanted[clip], pictures, Fraction(fps), CRF, preset="veryfast")
    return wanted


def draw_clip(
    head: Head, seed: Sequence[int], frames: int, size: int, fps: int, shake: float = SHAKE
) -> Iterator[Pixels]:
    """Yields `frames` pictures, size×size×3 uint8 RGB, of one talking head.

    The whole picture moves by the filming hand and as much again by the walk, each `shake` sides of
    the picture RMS an axis. The same head, seed and numbers give the same pixels; another seed,
    another clip of the person; another `shake`, the same clip held otherwise.
    """
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, max(2 * size, 256))
    times = np.arange(frames) / fps
    poses, expressions, lights = _poses(rng, times), _expressions(rng, times), _lights(rng, times)
    held = np.array(list(islice(hand(1.0, fps, rng), frames)))
    places = shake * (held + walk(1.0, times, rng))
    for time, pose, expression, light, (right, down) in zip(
        times, poses, expressions, lights, places.tolist(), strict=True
    ):
        shift = (right, down)
        yield draw_frame(head, scene, pose, expression, light, float(time), size, shift)


def _texture_size(size: int) -> int:
    return 3 * max(2 * size, 256) // 2


def _drift(rng: np.random.Generator, times: Floats, amount: float, slowest: float = 0.15) -> Floats:
    """Returns a smooth wander about zero: four sines of unrelated frequencies, in Hz."""
    frequencies = slowest * np.array([1.0, 2.3, 4.1, 7.9]) * rng.uniform(0.8, 1.25, 4)
    phases = rng.uniform(0, 2 * np.pi, 4)
    weights = amount * np.array([0.6, 0.4, 0.2, 0.08])
    waves: Floats = np.sin(2 * np.pi * times[:, None] * frequencies + phases) @ weights
    return waves


def _poses(rng: np.random.Generator, times: Floats) -> list[Pose]:
    facing, nod, tilt = rng.normal(0, 0.10), rng.normal(0, 0.05), rng.normal(0, 0.04)
    tracks = (
        np.clip(facing + _drift(rng, times, 0.36), -0.6, 0.6),
        np.clip(nod + _drift(rng, times, 0.15, 0.22), -0.3, 0.3),
        tilt + _drift(rng, times, 0.08),
        _drift(rng, times, 0.045, 0.3),
        _drift(rng, times, 0.04, 0.3) + rng.normal(-0.05, 0.015),
        1.0 + _drift(rng, times, 0.035),
    )
    return [Pose(*(float(value) for value in row)) for row in zip(*tracks, strict=True)]


def _expressions(rng: np.random.Generator, times: Floats) -> list[Expression]:
    count = len(times)
    talking = np.clip(1.6 * _drift(rng, times, 1.0, 0.12) + rng.uniform(0.2, 1.0), 0, 1)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2.6, 3.8) * times + rng.uniform(0, 6))
    mouth = talking * np.clip(syllables * (0.65 + _drift(rng, times, 0.5, 0.9)), 0, 1)
    smile = np.clip(rng.normal(0.15, 0.35) + _drift(rng, times, 0.4), -0.6, 1)
    rounded = np.clip(_drift(rng, times, 1.0, 0.8), 0, 1) * talking
    lids = np.full(count, rng.uniform(0.82, 1.0)) + _drift(rng, times, 0.06)
    moment = rng.uniform(0, 2.5)
    while count and moment < times[-1]:
        # A blink closes and opens within about 0.2 s.
        lids = lids * (1 - np.exp(-(((times - moment) / 0.07) ** 4)))
        moment += rng.uniform(1.2, 4.0)
    # Saccades: the gaze jumps and rests.
    jumps = np.floor(times * 1.3 + rng.uniform(0, 1)).astype(int)
    gaze = rng.normal(0, 0.35, (jumps.max() + 1, 2))[jumps] + 0.0
    brows = np.clip(_drift(rng, times, 0.9, 0.2), 0, 1)
    tracks = (mouth, smile, rounded, np.clip(lids, 0, 1), gaze[:, 0], 0.5 * gaze[:, 1], brows)
    return [Expression(*(float(value) for value in row)) for row in zip(*tracks, strict=True)]


def _lights(rng: np.random.Generator, times: Floats) -> list[Light]:
    ambient, warmth = rng.uniform(0.38, 0.62), rng.normal(0, 0.05)
    level = rng.uniform(0.86, 1.06)
    x = rng.uniform(-0.6, 0.6) + _drift(rng, times, 0.2)
    y = rng.uniform(-0.8, -0.1) + _drift(rng, times, 0.12)
    flicker = level * (1 + _drift(rng, times, 0.035))
    lights = []
    for one, two, bright in zip(x, y, flicker, strict=True):
        length = float(np.sqrt(one**2 + two**2 + 0.8))
        direction = (float(one) / length, float(two) / length, float(np.sqrt(0.8)) / length)
        tint = (float(bright * (1 + warmth)), float(bright), float(bright * (1 - warmth)))
        lights.append(Light(direction, float(ambient), tint))
    return lights
