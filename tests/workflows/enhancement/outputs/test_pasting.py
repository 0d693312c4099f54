"""A restored face lies where its square was cut, and no seam shows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.media import Frame
from workflows.enhancement.outputs.pasting import (
    REACH,
    Picture,
    enlarge,
    enlarged_size,
    mark,
    paste,
)

WIDTH, HEIGHT, SIDE = 90, 70, 32.0
# Squares of x, y, side: within the film, at fractions of its pixels; beyond two of its corners.
PLACES = [(21.3, 17.8), (-9.4, -6.7), (70.6, 50.2)]
FACES = [(x + 4.1, y + 3.7, SIDE / 1.3) for x, y in PLACES]


def shades(x: NDArray[np.float64], y: NDArray[np.float64], fine: float) -> Frame:
    """A picture of waves of 25 film pixels, and of others of 3 that only a restored face has."""
    broad = np.sin(0.25 * x + 0.1)[None, :] + np.cos(0.22 * y)[:, None]
    narrow = np.sin(2 * np.pi / 3 * x)[None, :] + np.cos(2 * np.pi / 3 * y)[:, None]
    grey, finer = 120 + 15 * broad, fine * narrow[..., None]
    return np.rint(np.stack([grey, grey - 20, 230 - grey], -1) + finer).astype(np.uint8)


def centres(begin: float, step: float, count: int) -> NDArray[np.float64]:
    return begin + (np.arange(count) + 0.5) * step


def shown(size: tuple[int, int], fine: float) -> Frame:
    """The whole film at a size."""
    width, height = size
    return shades(
        centres(0, WIDTH / width, width), centres(0, HEIGHT / height, height), fine
    )  # fmt: skip


def restored(place: tuple[float, float], pixels: int, fine: float) -> Frame:
    """A square of the film."""
    x, y = (centres(begin, SIDE / pixels, pixels) for begin in place)
    return shades(x, y, fine)


def pasted(
    place: tuple[float, float],
    face: tuple[float, float, float],
    scale: float,
    pixels: int = 128,
    fine: float = 0.0,
    brighter: int = 0,
) -> tuple[Picture, Picture, tuple[float, float]]:
    """The enlarged film before and after, and what takes its places there."""
    size = enlarged_size(WIDTH, HEIGHT, scale)
    factors = size[0] / WIDTH, size[1] / HEIGHT
    before = enlarge(shown((WIDTH, HEIGHT), 0.0), size)
    after = before.copy()
    picture = restored(place, pixels, fine) + np.uint8(brighter)
    paste(after, factors, np.array([*place, SIDE]), np.array(face), picture)
    return before, after, factors


def within(face: tuple[float, float, float], factors: tuple[float, float], share: float) -> object:
    """The pixels within a square about a face, so many times as wide."""
    reach = share * face[2] / 2
    rows, columns = (
        slice(
            max(0, int((face[axis] + face[2] / 2 - reach) * factors[axis])),
            max(0, int((face[axis] + face[2] / 2 + reach) * factors[axis])),
        )
        for axis in (1, 0)
    )
    return rows, columns


@pytest.mark.parametrize(("place", "face"), list(zip(PLACES, FACES, strict=True)))
@pytest.mark.parametrize("scale", [4.0, 2.7, 1.0])
def test_a_face_lies_where_it_was_cut(
    place: tuple[float, float], face: tuple[float, float, float], scale: float
) -> None:
    """To a tenth of a pixel: at the place of each pixel of the enlarged film is what the square
    has there, its waves of 3 film pixels included, also where it reaches beyond the film."""
    fine = 0.0 if scale == 1.0 else 30.0  # a picture of the film's own size has no finer waves
    _, after, factors = pasted(place, face, scale, fine=fine)
    size = after.shape[1::-1]
    middle = within(face, factors, 0.5)
    expected, found = shown(size, fine)[middle].astype(float), after[middle].astype(float)
    assert found.size > 250
    # A tenth of a pixel to both sides is 1.6 levels or more: 30 · 2π/3 / 4 / √2 · 0.1 · √2.
    assert np.sqrt(((found - expected) ** 2).mean()) < 1.5


@pytest.mark.parametrize(("place", "face"), list(zip(PLACES, FACES, strict=True)))
@pytest.mark.parametrize("pixels", [16, 128, 256])
def test_what_the_film_shows_already_changes_nothing(
    place: tuple[float, float], face: tuple[float, float, float], pixels: int
) -> None:
    """The film's own square, however many pixels it has, and though it be brighter: no seam."""
    before, after, _ = pasted(place, face, 2.0, pixels, brighter=12)
    assert np.abs(after.astype(int) - before).max() <= 4
    assert np.abs(after.astype(float) - before).mean() < 0.2


def test_colours_are_those_of_the_film_though_the_restored_face_has_others() -> None:
    """A face with a red cheek, a quarter of the crop wide: its brightness is taken, its red is
    not."""
    before, _, factors = pasted(PLACES[0], FACES[0], 4.0)
    picture = restored(PLACES[0], 128, 0.0).astype(int)
    picture[48:80, 48:80, 0] += 40
    after = before.copy()
    paste(
        after, factors, np.array([*PLACES[0], SIDE]), np.array(FACES[0]), picture.astype(np.uint8)
    )
    change = (after.astype(float) - before)[within(FACES[0], factors, 0.25)].mean((0, 1))
    assert abs(change[0] - change[1]) < 8 and 3 < change[1] < 12


def test_beyond_the_face_the_film_is_untouched() -> None:
    before, after, factors = pasted(PLACES[0], FACES[0], 3.0, fine=20)
    changed = np.argwhere((before != after).any(-1))
    x, y, side = FACES[0]
    for axis, centre in ((1, x + side / 2), (0, y + side / 2)):
        lowest, highest = changed[:, axis].min(), changed[:, axis].max() + 1
        reach = REACH * side / 2
        factor = factors[1 - axis]
        assert (centre - reach) * factor - 1 <= lowest < centre * factor
        assert centre * factor < highest <= (centre + reach) * factor + 1


def test_the_edge_is_soft() -> None:
    """A white face on a black film: from pixel to pixel never more than a small step, and all
    steps but those near the edge go one way."""
    size = enlarged_size(WIDTH, HEIGHT, 4)
    black = np.zeros((size[1], size[0], 3), np.uint8)
    checks = np.indices((128, 128)).sum(0) % 2 * 255  # fine, so that no coarse colour is taken off
    face = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    crop, box = np.array([20.0, 18.0, SIDE]), np.array([24.0, 21.0, SIDE / 1.3])
    paste(black, (4.0, 4.0), crop, box, face)
    smooth = black[..., 0].astype(float)
    shares = np.maximum.reduceat(
        np.maximum.reduceat(smooth, np.arange(0, size[1], 4), 0), np.arange(0, size[0], 4), 1
    )
    row = shares[int(21 + SIDE / 2.6)]
    assert row.max() > 100 and row[:20].max() == 0 and row[52:].max() == 0
    assert np.abs(np.diff(row)).max() < 0.35 * row.max()


def test_the_edge_follows_the_face_and_not_the_grid() -> None:
    """The crop jumps by a low pixel, as the grid has it, and the face stands still."""
    step = SIDE / 16
    (x, y), face = PLACES[0], FACES[0]
    _, one, _ = pasted((x, y), face, 4.0, fine=16)
    _, other, _ = pasted((x + step, y + step), face, 4.0, fine=16)
    jumped = (face[0] + step, face[1] + step, face[2])
    _, moved, _ = pasted((x + step, y + step), jumped, 4.0, fine=16)
    assert np.abs(one.astype(int) - other).max() < 6
    assert np.abs(one.astype(int) - moved).max() > 12


def test_a_mark_is_drawn_about_the_face() -> None:
    picture = np.full((400, 600, 3), 128, np.uint8)
    mark(picture, (2.0, 2.0), np.array([100.0, 60.0, 80.0]))
    reach = REACH * 80
    left, right, top, bottom = (
        round(v) for v in (280 - reach, 280 + reach, 200 - reach, 200 + reach)
    )
    assert (picture[top:bottom, left - 1] == 255).all() and (picture[200, left - 2] == 0).all()
    assert (picture[top:bottom, right] == 255).all() and (picture[200, right + 1] == 0).all()
    assert (picture[top - 1, left:right] == 255).all() and (picture[top - 2, 280] == 0).all()
    assert (picture[bottom, left:right] == 255).all() and (picture[bottom + 1, 280] == 0).all()
    assert (picture[top:bottom, left:right] == 128).all()
    assert (picture != 128).any(-1).mean() < 0.02


def test_the_mark_of_a_face_beyond_the_edge_is_seen() -> None:
    picture = np.full((100, 120, 3), 128, np.uint8)
    mark(picture, (1.0, 1.0), np.array([-30.0, 70.0, 60.0]))
    assert (picture[:, 1] == 255).any() and (picture[98] == 255).any()


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [((640, 480), 1, (640, 480)), ((853, 480), 1, (852, 480)), ((641, 359), 1.5, (962, 538)),
     ((1, 1), 1, (2, 2)), ((320, 240), 4, (1280, 960))],
)  # fmt: skip
def test_sizes_are_even(size: tuple[int, int], scale: float, expected: tuple[int, int]) -> None:
    assert enlarged_size(*size, scale) == expected
