"""Bursts made while training: their motion, their frames, and what becomes of a batch."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from datasets.clips.stills_to_films import draw_motion
from infra.conventions import control_points
from model.layers.warping import warp
from model.network import build
from model.objectives.curriculum import Curriculum
from model.objectives.fresh_bursts import FreshBursts, inverse_field, make_clip, random_motion
from model.objectives.known_motion import degrade
from model.objectives.restoration import Restoration
from model.thin_plate_spline import dense_field, displacement_at, pixel_centres


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_faces(count: int, size: int) -> torch.Tensor:
    noise = np.random.default_rng(0).random((count, 3, size, size))
    smooth = gaussian_filter1d(gaussian_filter1d(noise, 4, axis=2), 4, axis=3)
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth)).float()


def batch_of(count: int, num_frames: int = 5) -> dict[str, torch.Tensor]:
    draw = np.random.default_rng(3).integers(0, 256, (count, 64, 64, 3), np.uint8)
    low = np.random.default_rng(4).integers(0, 256, (count, num_frames, 16, 16, 3), np.uint8)
    return {
        "high": torch.from_numpy(draw),
        "low": torch.from_numpy(low),
        "motion": torch.full((count, num_frames, 64, 2), torch.nan, dtype=torch.float16),
        "order": torch.arange(count) + 100,
    }


def test_motion_is_as_large_as_in_bursts_of_photographs_at_every_distance() -> None:
    ours = random_motion(800, 25, 16, chance()).numpy()
    theirs = np.stack([draw_motion(25, 16, np.random.default_rng(seed)) for seed in range(800)])
    assert not ours[:, 12].any()
    for distance in (1, 2, 4, 8, 12):
        one, other = (
            np.linalg.norm(each[:, [12 - distance, 12 + distance]], axis=-1).mean()
            for each in (ours, theirs)
        )
        assert one == pytest.approx(other, rel=0.12)


def not_affine(motion: np.ndarray) -> np.ndarray:
    """N×64×2 less the similarity, scaling and shear nearest to each."""
    design = np.concatenate([control_points(), np.ones((64, 1))], 1)
    return motion - design @ (np.linalg.pinv(design) @ motion)


def test_faces_move_within_themselves_more_than_in_stored_bursts() -> None:
    """A turning head, eyes and a mouth: the middle more, the border as in stored bursts."""
    ours = not_affine(random_motion(800, 25, 16, chance())[:, 24].numpy())
    theirs = not_affine(
        np.stack([draw_motion(25, 16, np.random.default_rng(seed))[24] for seed in range(800)])
    )
    middle, corners = [27, 28, 35, 36], [0, 7, 56, 63]
    ratio = [
        np.sqrt(np.square(ours[:, where]).mean() / np.square(theirs[:, where]).mean())
        for where in (middle, corners)
    ]
    assert 1.6 < ratio[0] < 2.6
    assert 0.9 < ratio[1] < 1.6


@pytest.mark.parametrize("low_size", [8, 16])
def test_no_motion_folds_and_each_is_undone(low_size: int) -> None:
    """b(q) = −d(q + b(q)) at all pixels but those that are read from outside."""
    shifts = random_motion(40, 25, low_size, chance())[:, 0]
    field = inverse_field(shifts, low_size, 64)
    back = field - pixel_centres(64, 64).float().view(1, 64, 64, 2)
    forth = displacement_at(shifts, field.flatten(1, 2)).view_as(back)
    inside = (field.abs() < 1).all(-1)
    apart = (back + forth).norm(dim=-1)[inside] * low_size / 2
    assert apart.mean() < 0.01
    assert apart.max() < 0.25


def test_frames_some_steps_apart_are_those_of_the_whole_film() -> None:
    faces = smooth_faces(2, 64)
    low, motion = make_clip(faces, 13, 4, 1.2, chance(3))
    some, moved = make_clip(faces, 13, 4, 1.2, chance(3), frame_step=3)
    assert torch.equal(some, low[:, ::3])
    assert torch.equal(moved, motion[:, ::3])


def test_only_the_frames_of_a_window_are_made() -> None:
    batch = batch_of(2, 25)
    new = FreshBursts(1.0, 5, 1.2, frame_step=3).of(batch, torch.device("cpu"))
    assert new["low"].shape[1] == new["motion"].shape[1] == 13
    made = new["motion"].isfinite().all(-1).all(-1).all(0)
    assert made.nonzero().flatten().tolist() == [0, 3, 6, 9, 12]


def test_a_compiled_objective_makes_them_too() -> None:
    """The number of clips that are made anew changes from step to step."""
    objective = Restoration(build("f3", 4, 64, width=0.25), 3, fresh=FreshBursts(0.5, 3, 1.2))
    objective.compile(backend="eager")
    torch.manual_seed(0)
    losses = [objective(batch_of(6))["loss"].item() for _ in range(4)]
    assert len(set(losses)) > 1


def test_consecutive_frames_are_alike_and_faces_differ() -> None:
    motion = random_motion(2, 25, 16, chance())
    assert not torch.allclose(motion[0], motion[1])
    assert torch.equal(motion, random_motion(2, 25, 16, chance()))
    assert random_motion(3, 1, 16, chance()).abs().max() == 0


def test_a_frame_warped_by_its_motion_is_the_central_one() -> None:
    """central(p) = frame_t(p + d_t(p)), away from what moved out of sight; two bilinear readings
    of smooth faces are all that is lost."""
    faces = smooth_faces(4, 64)
    shifts = random_motion(4, 25, 16, chance(1))[:, 2]
    frames = warp(faces, inverse_field(shifts, 16, 64))
    back = warp(frames, dense_field(shifts, 64, 64))
    inside = (..., slice(12, -12), slice(12, -12))
    before = (frames - faces)[inside].square().mean().sqrt()
    after = (back - faces)[inside].square().mean().sqrt()
    assert after < 0.1 * before
    assert after < 1 / 255


def test_the_central_frame_is_the_face_degraded() -> None:
    faces = smooth_faces(3, 64)
    low, motion = make_clip(faces, 5, 4, 1.2, chance())
    assert low.shape == (3, 5, 3, 16, 16)
    assert motion.shape == (3, 5, 64, 2)
    assert torch.equal(low[:, 2], degrade(faces, 4, 1.2))
    assert not torch.equal(low[:, 1], low[:, 2])


def test_chosen_clips_change_and_the_others_do_not() -> None:
    torch.manual_seed(2)
    batch = batch_of(40)
    kept = {name: value.clone() for name, value in batch.items()}
    new = FreshBursts(0.5, 3, 1.2).of(batch, torch.device("cpu"))
    made = new["order"] < 0
    assert 8 < int(made.sum()) < 32
    assert new["low"].shape == (40, 3, 16, 16, 3)
    assert new["low"].dtype == torch.uint8
    assert torch.equal(new["low"][~made], batch["low"][~made][:, 1:4])
    assert new["motion"][made].isfinite().all()
    assert new["motion"][~made].isnan().all()
    assert torch.equal(new["high"], batch["high"])
    assert torch.equal(new["order"][~made], batch["order"][~made])
    truth = degrade(batch["high"].movedim(-1, 1).float().div(255), 4, 1.2).mul(255).round()
    assert torch.equal(new["low"][made][:, 1].movedim(-1, 1).float(), truth[made])
    for name, value in kept.items():  # what the loader gave is not written to
        torch.testing.assert_close(batch[name], value, rtol=0, atol=0, equal_nan=True)


def test_too_few_stored_frames_are_named() -> None:
    with pytest.raises(ValueError, match="window of 7 frames"):
        FreshBursts(0.5, 7, 1.2).of(batch_of(2), torch.device("cpu"))


def test_no_share_leaves_the_middle_of_the_clips() -> None:
    batch = batch_of(3)
    new = FreshBursts(0.0, 3, 1.2).of(batch, torch.device("cpu"))
    assert torch.equal(new["low"], batch["low"][:, 1:4])


def test_training_sees_other_frames_each_time_and_validation_those_stored() -> None:
    network = build("f3warp", 4, 64, width=0.25)
    with torch.no_grad():  # as built, R looks at the central frame alone
        for values in network.parameters():
            values += 0.01 * torch.randn_like(values)
    objective = Restoration(network, 3, curriculum=Curriculum(0.0), fresh=FreshBursts(1.0, 3, 1.2))
    plain = Restoration(network, 3, curriculum=Curriculum(0.0))
    batch = batch_of(2)
    torch.manual_seed(0)
    one, two = (objective.train()(batch)["pixel"].item() for _ in range(2))
    assert one != two
    assert not objective.motion.held.kept  # they cannot be looked up
    torch.manual_seed(0)
    assert objective(batch)["pixel"].item() == one
    with torch.no_grad():
        assert objective.eval()(batch)["pixel"] == plain.eval()(batch)["pixel"]
