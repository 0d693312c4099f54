"""Random changes of training images: clips, the recogniser's faces, the predictor's low frames.

All draws are made on the CPU from torch's global generator, one set an image, so that they are the
same on every device and a training loop that restores the generator's state repeats them.
"""

import torch
from torch import Tensor
from torch.nn import functional

from model.layers.warping import warp
from model.pixels import sent
from model.thin_plate_spline import mirrored as mirrored_shifts


def jitter_frames(frames: Tensor, pixels: float) -> Tensor:
    """Drift each of N×3×h×w frames by up to ±`pixels` in x and y; border pixels are repeated."""
    count, _, height, width = frames.shape
    drift = (torch.rand(count, 2) * 2 - 1) * pixels * torch.tensor([2 / width, 2 / height])
    matrix = torch.eye(2, 3).repeat(count, 1, 1)
    matrix[:, :, 2] = drift
    return warp(frames, _grid(matrix, frames)).to(frames.dtype)


def augment_clips(
    low: Tensor, high: Tensor, shifts: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mirror, play backwards and relight clips, low B×T×3×h×w and high B×3×S×S in [0, 1], alike.

    `shifts`, B×A×64×2 of all frames but the central one against it, go with the clips.
    Each of these commutes with the degradation, so that the low frames are still those of the
    high one. The paper names no augmentation; with few people, more steps otherwise only make
    the fully connected layers of F learn them by heart.
    """
    count = len(low)
    mirrored, backwards = torch.rand(count) < 0.5, torch.rand(count) < 0.5
    low = torch.where(_each(mirrored, low), low.flip(-1), low)
    low = torch.where(_each(backwards, low), low.flip(1), low)
    high = torch.where(_each(mirrored, high), high.flip(-1), high)
    if shifts is not None:
        shifts = torch.where(_each(mirrored, shifts), mirrored_shifts(shifts), shifts)
        shifts = torch.where(_each(backwards, shifts), shifts.flip(1), shifts)
    gain = (1 + 0.15 * torch.randn(count, 1)) * (1 + 0.05 * torch.randn(count, 3))
    lift = 0.06 * torch.randn(count, 1)

    def relit(images: Tensor) -> Tensor:
        shape = (count, *[1] * (images.ndim - 4), 3, 1, 1)
        each_gain = sent(gain.reshape(shape), images)
        each_lift = sent(lift.reshape(*shape[:-3], 1, 1, 1), images)
        return ((images - 0.5) * each_gain + 0.5 + each_lift).clamp(0, 1)

    return relit(low), relit(high), shifts


def augment_faces(faces: Tensor, degrade: float) -> Tensor:
    """Mirror, shift, turn, zoom, relight B×3×S×S faces in [0, 1]; `degrade` of them lose detail."""
    count = len(faces)
    angle = 0.1 * torch.randn(count)
    zoom = 1 + 0.07 * torch.randn(count)
    mirrored = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = zoom * angle.cos() * mirrored, -zoom * angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = zoom * angle.sin() * mirrored, zoom * angle.cos()
    matrix[:, :, 2] = 0.06 * torch.randn(count, 2)
    faces = warp(faces, _grid(matrix, faces)).to(faces.dtype)
    gain = 1 + sent(0.15 * torch.randn(count, 1, 1, 1), faces)
    tint = 1 + sent(0.03 * torch.randn(count, 3, 1, 1), faces)
    lift = sent(0.06 * torch.randn(count, 1, 1, 1), faces)
    faces = ((faces - 0.5) * gain * tint + 0.5 + lift).clamp(0, 1)
    return lose_detail(faces, degrade)


def lose_detail(faces: Tensor, share: float) -> Tensor:
    """Shrink a random share of B×3×S×S faces to between S / 8 and S / 2 pixels and enlarge them."""
    drawn = torch.nonzero(torch.rand(len(faces)) < share).flatten()
    if len(drawn) == 0:
        return faces
    chosen = sent(drawn, faces)
    size = faces.shape[-1]
    small = int(torch.randint(max(2, size // 8), max(3, size // 2 + 1), (1,)))
    few = functional.interpolate(
        faces[chosen], (small, small), mode="bilinear", align_corners=False, antialias=True
    )
    rough = functional.interpolate(few, (size, size), mode="bicubic", align_corners=False)
    return faces.index_copy(0, chosen, rough.clamp(0, 1).to(faces.dtype))


def _each(chosen: Tensor, images: Tensor) -> Tensor:
    """A flag an image, B, so that it can be held against B×…"""
    return sent(chosen.reshape(-1, *[1] * (images.ndim - 1)), images)


def _grid(matrix: Tensor, images: Tensor) -> Tensor:
    shape = [len(images), 1, *images.shape[-2:]]
    return functional.affine_grid(sent(matrix, images), shape, align_corners=False)
