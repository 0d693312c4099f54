"""Parts of tracks, however cut and grouped, are restored as the whole tracks are."""

import gc
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.network import Network, build
from model.pixels import to_pixels
from model.streaming import Part, reach, restore, restore_parts

CPU = torch.device("cpu")


def network(variant: str, step: int = 1) -> Network:
    """With random weights where training starts from zeros: every frame tells in every window."""
    torch.manual_seed(5)
    made = build(variant, 4, 32, width=0.1, start="kaiming", frame_step=step).eval()
    assert isinstance(made, Network)
    for extractor in (made.central, made.adjacent):
        if extractor is not None:
            nn.init.normal_(extractor.drawing[-1].weight, std=0.05)
    if made.predictor is not None:
        nn.init.normal_(made.predictor.last.weight, std=0.02)
    return made


def track(count: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 8, 8, 3), dtype=torch.uint8, generator=draw)


def cut(low: Tensor, places: list[int], halo: int) -> list[Part]:
    """The parts of a track between the places, each with a halo as far as the track goes."""
    parts = []
    for start, stop in zip([0, *places], [*places, len(low)], strict=True):
        before, after = min(halo, start), min(halo, len(low) - stop)
        first, end = start - before, stop + after
        parts.append(Part(low[first:end], before, after, first == 0, end == len(low)))
    return parts


def cut_at_random(low: Tensor, seed: int, span: int) -> list[Part]:
    draw = np.random.default_rng(seed)
    places = draw.choice(np.arange(1, len(low)), draw.integers(0, len(low)), replace=False)
    return cut(low, sorted(map(int, places)), span + int(draw.integers(0, 3)))


def window_by_window(made: Network, low: Tensor) -> Tensor:
    """The network's own forward on the windows, their places held within the track."""
    around = made.frame_step * torch.arange(-made.radius, made.radius + 1)
    places = (torch.arange(len(low))[:, None] + around).clamp(0, len(low) - 1)
    with torch.no_grad():
        return made(to_pixels(low, CPU)[places])


@pytest.mark.parametrize("count", [1, 2, 3, 11])
@pytest.mark.parametrize(("variant", "step"), [("f1", 1), ("f5", 1), ("f5warp", 1), ("f5warp", 2)])
def test_parts_are_as_in_the_whole_track(variant: str, step: int, count: int) -> None:
    made, low = network(variant, step), track(count)
    whole = restore(made, to_pixels(low, CPU))
    assert (whole - window_by_window(made, low)).abs().max() < 1e-5
    for seed in range(3):
        parts = cut_at_random(low, seed, reach(made))
        given = list(restore_parts(made, parts, batch_size=4))
        assert [len(some) for some in given] == [
            len(part.low) - part.before - part.after for part in parts
        ]
        assert torch.equal(torch.cat(given), whole)


@pytest.mark.parametrize("variant", ["f5", "f5warp"])
def test_float64_in_batches_across_parts(variant: str) -> None:
    """As on a GPU; what is given is float32, where an odd frame may be rounded the other way."""
    made, low = network(variant, 2).double(), track(7)
    parts = cut_at_random(low, 1, reach(made))
    given = torch.cat(list(restore_parts(made, parts, batch_size=4)))
    assert given.dtype == torch.float32
    assert (given - window_by_window(made, low)).abs().max() < 1e-7


def test_grouping_does_not_change_a_bit() -> None:
    made = network("f5warp")
    tracks = [track(count, seed=count) for count in (1, 4, 7)]
    results = []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        parts = [part for low in tracks for part in cut_at_random(low, seed, reach(made))]
        order = draw.permutation(len(parts))
        restored = restore_parts(made, [parts[place] for place in order], [1, 3, 16][seed])
        by_place = dict(zip(map(int, order), restored, strict=True))
        results.append(torch.cat([by_place[place] for place in range(len(parts))]))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert torch.equal(results[0], torch.cat([restore(made, to_pixels(x, CPU)) for x in tracks]))


def test_batches_are_full_across_short_tracks() -> None:
    """Ten frames of five tracks and none twice: three batches of four, the last filled up."""
    made = network("f5").double()
    parts = [part for seed in range(5) for part in cut(track(2, seed), [], 0)]
    found = {}
    for name, layer in (("frames", made.central), ("windows", made.reconstruction)):
        found[name] = mock.patch.object(layer, "forward", wraps=layer.forward)
    with found["frames"] as frames, found["windows"] as windows:
        given = list(restore_parts(made, parts, batch_size=4))
    for calls in (frames.call_args_list, windows.call_args_list):
        assert [len(call.args[0]) for call in calls] == [4, 4, 4]
    assert all(
        (some - window_by_window(made, part.low)).abs().max() < 1e-6
        for some, part in zip(given, parts, strict=True)
    )


def test_frames_out_of_reach_cost_nothing() -> None:
    made, low = network("f5"), track(12)
    part = Part(low, 5, 6, at_start=True, at_end=False)
    with mock.patch.object(made.adjacent, "forward", wraps=made.adjacent.forward) as forward:
        (given,) = restore_parts(made, [part])
    assert forward.call_count == 5
    assert torch.equal(given, restore(made, to_pixels(low, CPU))[5:6])


def parts_alive() -> int:
    return sum(type(found) is Part for found in gc.get_objects())


@pytest.mark.parametrize("double", [False, True])
def test_holds_few_parts_however_many_come(double: bool) -> None:
    """Three parts fill a batch of windows; before it, there are the next frames in a batch."""
    made, read, most = network("f5").to(torch.float64 if double else torch.float32), 0, 0
    before = parts_alive()

    def source() -> Iterator[Part]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield Part(track(3), 1, 0, at_start=True, at_end=True)

    for number, given in enumerate(restore_parts(made, source(), batch_size=4)):
        assert len(given) == 2
        assert read <= number + 1 + (4 if double else 1)
        if number in (4, 6):
            most = max(most, parts_alive() - before)
    assert read == number + 1 == 10
    assert 1 <= most <= 6


def test_bicubic_needs_no_halo_and_takes_one() -> None:
    made, low = build("bicubic", 4, 32), track(6)
    assert reach(made) == 0
    given = torch.cat(list(restore_parts(made, [*cut(low, [1, 4], 0), *cut(low, [2], 2)])))
    assert torch.equal(given, restore(made, to_pixels(torch.cat((low, low)), CPU)))


def test_reach_is_of_frames_of_the_film() -> None:
    assert [reach(network("f1")), reach(network("f5")), reach(network("f5warp", 3))] == [0, 2, 6]


def test_bad_parts_are_refused() -> None:
    made, low = network("f5"), track(6)
    for part, words in (
        (Part(low, 1, 2, False, True), "before: 1 frames.*reach over 2"),
        (Part(low, 2, 0, False, False), "after: 0 frames"),
        (Part(low, 4, 2, True, True), "leave at least one"),
        (Part(low, -1, 0, True, True), "before -1"),
        (Part(low[:0], 0, 0, True, True), "of the part's 0 frames"),
        (Part(low[:, :4], 0, 0, True, True), r"n×8×8×3 uint8 .* got 6×4×8×3"),
        (Part(low / 255, 0, 0, True, True), "got .* torch.float32"),
    ):
        with pytest.raises(ValueError, match=words):
            list(restore_parts(made, [part]))
    with pytest.raises(ValueError, match="batch_size"):
        restore_parts(made, [], batch_size=0)
    with pytest.raises(ValueError, match=r"model\.network\.build"):
        restore_parts(nn.Identity(), [])
    assert list(restore_parts(made, [])) == []
