"""P's shifts from memory are those that P computes, for the right clips and within the bound."""

import torch

from model.network import Network, build
from model.objectives.held_shifts import HeldShifts

A_CLIP = 4 * 64 * 2 * 4  # bytes of f5warp's


def network() -> Network:
    torch.manual_seed(0)
    built = build("f5warp", scale=4, size=32, width=0.25)
    assert isinstance(built, Network) and built.predictor is not None
    torch.nn.init.normal_(built.predictor.last.weight, std=0.1)
    return built


def test_what_is_kept_is_what_is_computed() -> None:
    """Also where a batch holds clips seen before in other company, or one of them twice."""
    net, held, low = network(), HeldShifts(), torch.rand(5, 5, 3, 8, 8)
    order = torch.tensor([2**62, 7, 9, 11, 0])
    computed = held.of(net, low, None)
    assert computed.std() > 0.01 and not held.kept
    for rows in ([0, 1], [1, 4, 3], [2, 1, 1, 0], [4, 3, 2, 1, 0]):
        found = held.of(net, low[rows], order[rows])
        torch.testing.assert_close(found, computed[rows], atol=1e-5, rtol=1e-4)
    assert len(held.kept) == 5 and held.bytes == 5 * A_CLIP
    alone = torch.cat([net.predicted_shifts(low[i : i + 1]) for i in range(5)])
    assert torch.equal(held.of(net, low, order), alone)


def test_it_is_not_computed_again_until_cleared() -> None:
    net, held, low = network(), HeldShifts(), torch.rand(3, 5, 3, 8, 8)
    calls = []
    assert net.predictor is not None
    net.predictor.last.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        held.of(net, low, torch.arange(3))
    assert len(calls) == 3
    held.clear()
    held.of(net, low, torch.arange(3))
    assert len(calls) == 6


def test_beyond_the_limit_nothing_is_kept_and_all_is_right() -> None:
    net, held, low = network(), HeldShifts(limit=2 * A_CLIP), torch.rand(5, 5, 3, 8, 8)
    for _ in range(2):
        found = held.of(net, low, torch.arange(5))
        torch.testing.assert_close(found, held.of(net, low, None), atol=1e-5, rtol=1e-4)
        assert sorted(held.kept) == [0, 1] and held.bytes == 2 * A_CLIP


def test_it_is_exact_inside_autocast_and_carries_no_gradient() -> None:
    net, held, low = network(), HeldShifts(), torch.rand(2, 5, 3, 8, 8)
    expected = held.of(net, low, None)
    with torch.autocast("cpu", torch.bfloat16):
        found = held.of(net, low, None)
    assert torch.equal(found, expected) and not found.requires_grad
