"""Augmentations keep shape and range, and do what they say."""

import torch
from torch.nn.functional import avg_pool2d

from model.objectives.augmentation import augment_clips, augment_faces, jitter_frames, lose_detail


def test_faces_keep_shape_and_range_and_change() -> None:
    faces = torch.rand(4, 3, 24, 24)
    changed = augment_faces(faces, 0.5)
    assert changed.shape == faces.shape
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed - faces).abs().mean() > 0.01


def test_same_seed_gives_the_same_faces() -> None:
    faces = torch.rand(4, 3, 24, 24)
    torch.manual_seed(5)
    one = augment_faces(faces, 0.5)
    torch.manual_seed(5)
    assert torch.equal(one, augment_faces(faces, 0.5))


def test_all_none_or_some_lose_detail() -> None:
    faces = torch.rand(6, 3, 32, 32)
    assert torch.equal(lose_detail(faces, 0.0), faces)
    rough = lose_detail(faces, 1.0)
    assert (rough.diff(dim=-1).abs().mean((1, 2, 3)) < faces.diff(dim=-1).abs().mean()).all()


def test_jitter_stays_within_its_pixels() -> None:
    """On a ramp of slope 1 a pixel, the change is the drift."""
    ramp = torch.arange(16.0).expand(8, 3, 16, 16)
    drift = (jitter_frames(ramp, 1.5) - ramp)[..., 3:-3]
    assert drift.abs().max() <= 1.5 + 1e-4
    assert drift[:, 0, 0, 0].std() > 0.3
    assert drift.std(dim=(1, 2, 3)).max() < 1e-4


def test_changed_clips_are_still_degraded_from_their_high_frame() -> None:
    """low = D(high) before implies low' = D(high') after, for D the mean of 4×4 blocks."""
    torch.manual_seed(2)
    sharp = 0.4 + 0.2 * torch.rand(32, 3, 3, 32, 32)  # B×T×3×S×S, away from the clamp
    low = avg_pool2d(sharp.flatten(0, 1), 4).unflatten(0, (32, 3))
    changed, high, _ = augment_clips(low, sharp[:, 1])
    torch.testing.assert_close(changed[:, 1], avg_pool2d(high, 4))
    assert (changed - low).abs().mean() > 0.01


def test_clips_are_played_backwards_and_mirrored_at_times() -> None:
    """Frames of one grey level a frame, with a ramp of a little light from left to right."""
    torch.manual_seed(3)
    levels = torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1, 1)
    low = (levels + torch.linspace(-0.02, 0.02, 8)).expand(64, 3, 3, 8, 8)
    changed, high, _ = augment_clips(low, low[:, 1])
    backwards = changed[:, 0].mean((1, 2, 3)) > changed[:, 2].mean((1, 2, 3))
    mirrored = high[..., 0].mean((1, 2)) > high[..., -1].mean((1, 2))
    assert 16 < backwards.sum() < 48 and 16 < mirrored.sum() < 48
    assert (backwards != mirrored).any()
    low_mirrored = changed[:, 1, :, :, 0].mean((1, 2)) > changed[:, 1, :, :, -1].mean((1, 2))
    assert torch.equal(low_mirrored, mirrored)
