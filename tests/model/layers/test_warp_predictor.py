"""P: shape, identity at the start, a signal that does not fade."""

import torch
from torch import nn

from model.layers.warp_predictor import WarpPredictor


def test_starts_as_the_identity_warp() -> None:
    predictor = WarpPredictor(16)
    shifts = predictor(torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16))
    assert shifts.shape == (3, 64, 2)
    assert torch.count_nonzero(shifts) == 0


def test_has_the_layers_of_the_design() -> None:
    predictor = WarpPredictor(16)
    convolutions = [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0])
        for part in (predictor.central, predictor.adjacent, predictor.trunk)
        for layer in part
        if isinstance(layer, nn.Conv2d)
    ]
    branch = [(3, 20, 3), (20, 20, 3), (20, 20, 1)]
    assert convolutions == [*branch, *branch, (40, 100, 3), *[(100, 100, 3)] * 4]
    dense = [layer.out_features for layer in predictor.dense if isinstance(layer, nn.Linear)]
    assert [*dense, predictor.last.out_features] == [256, 256, 256, 128]


def test_the_two_images_have_their_own_weights() -> None:
    predictor = WarpPredictor(8)
    nn.init.normal_(predictor.last.weight)
    one, two = torch.rand(2, 1, 3, 8, 8)
    assert not torch.allclose(predictor(one, two), predictor(two, one))
    own = {id(value) for value in predictor.central.parameters()}
    assert own.isdisjoint(id(value) for value in predictor.adjacent.parameters())


def test_differences_between_frames_reach_the_last_layer() -> None:
    """Among the last features of frames that differ, the spread is not lost beside the mean."""
    predictor = WarpPredictor(16)
    frames = torch.rand(32, 3, 16, 16)
    maps = predictor.central_maps(frames[:1]).expand(32, -1, -1, -1)
    pair = torch.cat((maps, predictor.adjacent_maps(frames)), dim=1)
    features = predictor.dense(predictor.trunk(pair).flatten(1))
    assert features.std(dim=0).norm() > 0.05 * features.norm(dim=1).mean()


def test_branches_may_be_kept_from_frame_to_frame() -> None:
    predictor = WarpPredictor(8)
    nn.init.normal_(predictor.last.weight)
    one, two = torch.rand(2, 4, 3, 8, 8)
    kept = predictor.shifts(predictor.central_maps(one), predictor.adjacent_maps(two))
    assert torch.equal(kept, predictor(one, two))
