"""Stored batches become what the network takes."""

import pytest
import torch

from model.pixels import centre_slice, constant, low_window, pick_frames, to_pixels

CPU = torch.device("cpu")


def test_bytes_become_unit_range_with_channels_first() -> None:
    stored = torch.randint(0, 256, (2, 5, 4, 6, 3), dtype=torch.uint8)
    pixels = to_pixels(stored, CPU)
    assert pixels.shape == (2, 5, 3, 4, 6)
    assert pixels.dtype == torch.float32
    assert pixels[1, 2, 0, 3, 5] == stored[1, 2, 3, 5, 0] / 255
    assert to_pixels(torch.full((1, 1, 3), 255, dtype=torch.uint8), CPU).max() == 1


def test_the_slice_is_about_the_centre() -> None:
    low = torch.arange(25).view(1, 25, 1)
    assert centre_slice(low, 5).flatten().tolist() == [10, 11, 12, 13, 14]
    assert centre_slice(low, 1).flatten().tolist() == [12]
    assert centre_slice(low, 25).shape == low.shape


def test_frames_of_a_window_may_lie_apart() -> None:
    low = torch.arange(25).view(1, 25, 1)
    assert centre_slice(low, 5, 3).flatten().tolist() == [6, 9, 12, 15, 18]
    assert centre_slice(low, 9, 3).flatten().tolist() == list(range(0, 25, 3))
    with pytest.raises(ValueError, match="must hold 27"):
        centre_slice(low, 3, 13)


@pytest.mark.parametrize(("stored", "wanted"), [(25, 4), (5, 7), (24, 5)])
def test_a_window_that_cannot_be_centred_is_refused(stored: int, wanted: int) -> None:
    with pytest.raises(ValueError, match="centred window"):
        centre_slice(torch.zeros(1, stored), wanted)


def test_window_of_a_batch() -> None:
    batch = {"low": torch.full((2, 25, 4, 4, 3), 51, dtype=torch.uint8)}
    window = low_window(batch, 5, CPU)
    assert window.shape == (2, 5, 3, 4, 4)
    assert torch.allclose(window, torch.tensor(0.2))


def test_frames_are_picked_by_signed_offset() -> None:
    low = torch.arange(25.0).view(1, 25, 1, 1, 1).repeat(3, 1, 3, 2, 2)
    picked = pick_frames(low, torch.tensor([-12, 12, -1]))
    assert picked.shape == (3, 3, 2, 2)
    assert picked[:, 0, 0, 0].tolist() == [0, 24, 11]
    with pytest.raises(ValueError, match="neighbour_offset"):
        pick_frames(low[:, 10:15], torch.tensor([3, 0, 0]))


def test_a_constant_is_marked_as_the_compiler_marks_it() -> None:
    def one() -> int:
        return 1

    def other() -> int:
        return 1

    assert constant(one) is one and one() == 1
    assert vars(one) == vars(torch.compiler.assume_constant_result(other)) != {}
