"""The start of P: its features tell the motion before any training."""

import torch
from torch import Tensor

from model.layers.warp_predictor import WarpPredictor
from model.objectives.known_motion import make_burst


def features(predictor: WarpPredictor, central: Tensor, adjacent: Tensor) -> Tensor:
    maps = torch.cat((predictor.central_maps(central), predictor.adjacent_maps(adjacent)), dim=1)
    return predictor.dense(predictor.trunk(maps).flatten(1))


def faces(count: int) -> Tensor:
    small = torch.rand(count, 3, 8, 8)
    return torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").clamp(0.1, 0.9)


def test_features_follow_known_motion_before_any_training() -> None:
    """Over random bursts, the mean of units + less units - goes with the mean shift in x and y;
    from a random start alone there is no such relation."""
    burst = make_burst(faces(48), 4, 1.2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = features(WarpPredictor(16), burst.central, burst.adjacent)
    units = found.view(48, 64, 2, 2).mean(1)
    told, true = units[..., 0] - units[..., 1], burst.shifts.mean(1)
    for axis in (0, 1):
        assert torch.corrcoef(torch.stack((told[:, axis], true[:, axis])))[0, 1] > 0.6


def test_units_of_a_control_point_tell_the_direction() -> None:
    """Units 4k … 4k+3 hold motion to +x, -x, +y, -y: the adjacent frame is the scene one pixel to
    the right or below, so it is read one pixel further to the right or below."""
    scene = torch.nn.functional.interpolate(torch.rand(4, 3, 5, 5), (20, 20), mode="bicubic").clamp(
        0, 1
    )
    centre = scene[..., 2:18, 2:18]
    found = []
    with torch.no_grad():
        predictor = WarpPredictor(16)
        for y, x in ((0, -1), (0, 1), (-1, 0), (1, 0)):
            moved = scene[..., 2 + y : 18 + y, 2 + x : 18 + x]
            units = features(predictor, centre, moved).view(4, 64, 4).mean((0, 1))
            found.append(torch.stack((units[0] - units[1], units[2] - units[3])))
    to_right, to_left, down, up = found
    assert to_right[0] > 0 > to_left[0] and to_right[0] > 2 * to_right[1].abs()
    assert down[1] > 0 > up[1] and down[1] > 2 * down[0].abs()
