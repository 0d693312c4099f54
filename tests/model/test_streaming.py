"""Streaming equals window by window; memory and per-frame work do not grow with the film."""

import copy
import gc
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import nn

from model.network import Network, build
from model.streaming import FrameWork, restore


def network(variant: str = "f25warp", frame_step: int = 1) -> Network:
    made = build(variant, 4, 8, width=0.25, start="kaiming", frame_step=frame_step).eval()
    assert isinstance(made, Network)
    if made.predictor is not None:
        nn.init.normal_(made.predictor.last.weight, std=0.01)
    return made


def window_by_window(
    made: nn.Module, frames: torch.Tensor, radius: int, step: int = 1
) -> torch.Tensor:
    last = len(frames) - 1
    with torch.no_grad():
        return torch.cat(
            [
                made(
                    torch.stack(
                        [
                            frames[min(max(i + d * step, 0), last)]
                            for d in range(-radius, radius + 1)
                        ]
                    )[None]
                )
                for i in range(len(frames))
            ]
        )


@pytest.fixture(scope="module")
def expected() -> tuple[Network, torch.Tensor, dict[int, torch.Tensor]]:
    torch.manual_seed(3)
    made, film = network(), torch.rand(300, 3, 2, 2)
    return made, film, {n: window_by_window(made, film[:n], 12) for n in (1, 2, 24, 25, 26, 300)}


@pytest.mark.parametrize("batch_size", [1, 4, 16])
@pytest.mark.parametrize("count", [1, 2, 24, 25, 26, 300])
def test_equals_window_by_window(
    expected: tuple[Network, torch.Tensor, dict[int, torch.Tensor]],
    count: int,
    batch_size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Several windows at once; the tests below take one, as on a CPU.
    monkeypatch.setattr("model.streaming.CPU_WINDOWS", 16)
    made, film, results = expected
    given = restore(made, film[:count], batch_size=batch_size)
    assert given.shape == (count, 3, 8, 8)
    assert (given - results[count]).abs().max() < 1e-5


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("count", [1, 26])
def test_windows_together_equal_them_one_by_one(
    expected: tuple[Network, torch.Tensor, dict[int, torch.Tensor]], count: int, batch_size: int
) -> None:
    """In float64, as on a GPU, windows go together and through the network's own layers."""
    made, film, results = expected
    given = restore(copy.deepcopy(made).double(), film[:count], batch_size=batch_size)
    assert (given - results[count]).abs().max() < 1e-5


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("count", "step"), [(5, 3), (20, 3), (21, 10)])
def test_frames_that_lie_apart(count: int, step: int, batch_size: int) -> None:
    torch.manual_seed(4)
    made, film = network("f5warp", step), torch.rand(count, 3, 2, 2)
    expected = window_by_window(made, film, 2, step)
    assert (restore(made, film, batch_size=batch_size) - expected).abs().max() < 1e-5
    one_by_one = torch.stack(list(restore(made, iter(film), batch_size=batch_size)))
    assert torch.equal(one_by_one, restore(made, film, batch_size=batch_size))


@pytest.mark.parametrize("variant", ["f1", "f5", "f5warp", "linear1", "linear5warp"])
def test_other_variants_too(variant: str) -> None:
    made, frames = network(variant), torch.rand(7, 3, 2, 2)
    result = window_by_window(made, frames, made.radius)
    assert (restore(made, frames, batch_size=3) - result).abs().max() < 1e-5


def test_paper_sizes_go_through_the_transforms() -> None:
    made = build("f5warp", start="kaiming").eval()
    assert isinstance(made, Network) and made.predictor is not None
    nn.init.normal_(made.predictor.last.weight, std=0.003)
    frames = torch.rand(3, 3, 16, 16)
    assert (restore(made, frames) - window_by_window(made, frames, 2)).abs().max() < 1e-5


def test_bicubic() -> None:
    made, frames = build("bicubic", scale=4, size=16), torch.rand(3, 3, 4, 4)
    assert torch.allclose(restore(made, frames), made(frames[:, None]))


def test_iterator_gives_frames_one_by_one_and_reads_no_further_than_it_must() -> None:
    made, frames = network("f5warp"), torch.rand(40, 3, 2, 2)
    taken = 0

    def source() -> Iterator[torch.Tensor]:
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    results = restore(made, source(), batch_size=4)
    first = next(results)
    assert first.shape == (3, 8, 8)
    assert taken <= 2 + 4
    whole = torch.stack([first, *results])
    assert torch.equal(whole, restore(made, frames, batch_size=4))


def test_holds_one_window_and_one_batch_whatever_the_length() -> None:
    """Frames alive at a time, seen by counting the records that streaming keeps."""
    made, most = network("f5warp"), 0
    for index, _ in enumerate(restore(made, (torch.rand(3, 2, 2) for _ in range(60)), 4)):
        if index % 10 == 5:
            alive = sum(type(found) is FrameWork for found in gc.get_objects())
            most = max(most, alive)
    assert 5 <= most <= 5 + 2 * 4


def test_work_on_a_frame_is_done_once() -> None:
    made = network("f5warp")
    frames = torch.rand(30, 3, 2, 2)
    with mock.patch.object(made.adjacent, "forward", wraps=made.adjacent.forward) as forward:
        restore(made, frames, batch_size=8)
    assert sum(len(call.args[0]) for call in forward.call_args_list) == 30


def test_float64_network_runs_in_float64() -> None:
    made = network("f5warp").double()
    frames = torch.rand(4, 3, 2, 2)
    result = window_by_window(made, frames.double(), 2)
    assert (restore(made, frames) - result).abs().max() < 1e-6


def test_bad_input_is_refused() -> None:
    made = network("f5")
    with pytest.raises(ValueError, match="N ≥ 1"):
        restore(made, torch.zeros(0, 3, 2, 2))
    with pytest.raises(ValueError, match="batch_size"):
        restore(made, torch.zeros(1, 3, 2, 2), batch_size=0)
    with pytest.raises(ValueError, match="expected B×1×3×2×2"):
        restore(made, torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"model\.network\.build"):
        restore(nn.Identity(), torch.zeros(1, 3, 2, 2))
    assert list(restore(made, iter([]))) == []
