"""The start of P: its features tell the motion before any training."""

import torch
from torch import Tensor

from model.bursts import make_burst
from model.warp_predictor import WarpPredictor


def features(predictor: WarpPredictor, central: Tensor, adjacent: Tensor) -> Tensor:
    maps = torch.cat((predictor.central_maps(central), predictor.adjacent_maps(adjacent)), dim=1)
    return predictor.dense(predictor.trunk(maps).flatten(1))


def faces(count: int) -> Tensor:
    small = torch.rand(count, 3, 8, 8)
    return torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").clamp(0.1, 0.9)


def test_known_motion_can_be_read_linearly_off_the_features() -> None:
    """Ridge regression of the shifts on the last features explains a good part of unseen motion;
    from a random start it explains next to nothing (0.01 of the variance)."""
    burst = make_burst(faces(384), 4, 1.2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = features(WarpPredictor(16), burst.central, burst.adjacent)
    known, unseen = slice(0, 288), slice(288, None)
    found = (found - found[known].mean(0)) / found[known].std()
    shifts = burst.shifts.flatten(1)
    ridge = found[known].T @ found[known] + 10 * torch.eye(found.shape[1])
    weights = torch.linalg.solve(ridge, found[known].T @ shifts[known])
    missed = (found[unseen] @ weights - shifts[unseen]).square().sum()
    assert 1 - missed / shifts[unseen].square().sum() > 0.4


def test_units_of_a_control_point_tell_the_direction() -> None:
    """Units 4k … 4k+3 hold motion to +x, -x, +y, -y: the adjacent frame is the scene one pixel to
    the right or below, so it is read one pixel further to the right or below."""
    scene = torch.nn.functional.interpolate(torch.rand(8, 3, 5, 5), (20, 20), mode="bicubic").clamp(
        0, 1
    )
    centre = scene[..., 2:18, 2:18]
    found = []
    with torch.no_grad():
        predictor = WarpPredictor(16)
        for y, x in ((0, -1), (0, 1), (-1, 0), (1, 0)):
            moved = scene[..., 2 + y : 18 + y, 2 + x : 18 + x]
            units = features(predictor, centre, moved).view(8, 64, 4).mean((0, 1))
            found.append(torch.stack((units[0] - units[1], units[2] - units[3])))
    to_right, to_left, down, up = found
    assert to_right[0] > 0 > to_left[0] and to_right[0] > 2 * to_right[1].abs()
    assert down[1] > 0 > up[1] and down[1] > 2 * down[0].abs()
