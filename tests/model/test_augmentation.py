"""Augmentations keep shape and range, and do what they say."""

import torch

from model.augmentation import augment_faces, jitter_frames, lose_detail


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
