"""Pairs drawn from stored clips: the right frames, the right motion, mirrored half of the time."""

import torch

from model.objectives.known_motion import random_shifts
from model.objectives.real_pairs import draw_pairs, known
from model.thin_plate_spline import between, mirrored


def clips(count: int = 2, frames: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Low frames that tell their number by their brightness, on the left only; any motion."""
    low = torch.zeros(count, frames, 3, 8, 8)
    low[..., 0] = 1 + torch.arange(frames).view(1, -1, 1, 1)
    motion = random_shifts(count * frames, 8).view(count, frames, 64, 2).half()
    motion[:, frames // 2] = 0
    return low, motion


def test_the_pair_has_the_motion_between_its_two_frames() -> None:
    low, motion = clips(150)
    pair = draw_pairs(low, motion)
    flipped = pair.central[..., 0].amax((1, 2)) == 0
    assert 0.4 < flipped.float().mean() < 0.6
    first, second = (each.amax((1, 2, 3)).long() - 1 for each in (pair.central, pair.adjacent))
    apart = (first - second).abs()
    assert set(apart.tolist()) == {1, 2, 3, 4}
    assert set(first.tolist()) == set(range(9))
    clip = torch.arange(150)
    expected = between(motion[clip, first].float(), motion[clip, second].float())
    expected[flipped] = mirrored(expected[flipped])
    assert torch.equal(pair.shifts, expected)


def test_frames_of_no_known_motion_are_not_drawn() -> None:
    low, motion = clips(100)
    motion[:, [0, 3, 7]] = torch.nan
    motion[0, 1:4] = torch.nan
    motion[0, 5:] = torch.nan
    motion[0, 0] = 0
    assert known(motion)[0].tolist() == [True] + 3 * [False] + [True] + 4 * [False]
    pair = draw_pairs(low, motion)
    assert pair.shifts.isfinite().all()
    first, second = (each.amax((1, 2, 3)).long() - 1 for each in (pair.central, pair.adjacent))
    assert set(first[1:].tolist()) == {1, 2, 4, 5, 6, 8}
    assert {int(first[0]), int(second[0])} == {0, 4}


def test_two_frames_at_the_ends_of_a_window_are_still_a_pair() -> None:
    low, motion = clips(1)
    motion[:, 1:-1] = torch.nan
    pair = draw_pairs(low, motion)
    assert {float(pair.central.amax()), float(pair.adjacent.amax())} == {1.0, 9.0}


def test_the_same_generator_gives_the_same_pairs() -> None:
    low, motion = clips(20)
    one, two = (draw_pairs(low, motion, torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
