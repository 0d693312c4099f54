"""The degradation `realistic`: what a distant face goes through in a real camera and codec.

Optics and motion blur → the camera's pixels → shot and read noise → H.264 or JPEG → the network's
size. One recipe is drawn a clip, so all its frames are of one camera. Lengths are in pixels of the
low frame: the ranges hold for every `scale`. As in `degrade`, no step shifts the picture.
"""

from dataclasses import dataclass
from math import ceil, exp, log

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.clips.codec import compress

# The paper's blur is σ = 2.4 of 8: 0.3 low pixels. These lie about it.
SIGMA, ROUNDNESS = (0.15, 0.5), (0.5, 1.0)
DEFOCUS, DEFOCUS_SHARE = (0.2, 0.8), 0.3
MOTION, MOTION_SHARE = (0.3, 1.0), 0.3
CAMERA = (0.75, 1.5)  # camera pixels a low pixel
# Brooks et al., Unprocessing Images for Learned Raw Denoising (CVPR 2019), §3.1: the variance of
# a value x of linear light in [0, 1] is read + shot·x. Their shot noise, of raw pixels, reaches
# 0.012; a video camera removes the worst before it encodes.
SHOT, READ_SLOPE, READ_OFFSET, READ_SPREAD = (1e-4, 0.004), 2.18, 1.20, 0.26
# Rate factors over 30 and qualities near 50 were seen to leave no face in 16×16 pixels.
H264_SHARE, CRF, JPEG = 0.75, (18, 30), (60, 95)

# For the card of a data set.
RANGES = {
    "sigma": SIGMA, "roundness": ROUNDNESS, "defocus": DEFOCUS, "defocus_share": DEFOCUS_SHARE,
    "motion": MOTION, "motion_share": MOTION_SHARE, "camera": CAMERA, "shot": SHOT,
    "h264_share": H264_SHARE, "crf": CRF, "jpeg": JPEG,
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """The numbers drawn for one clip; `docs/data.md` gives their ranges and sources."""

    sigma: float  # standard deviation of the Gaussian along `angle` [low px]
    sigma_across: float  # and across it
    angle: float  # degrees
    defocus: float  # radius of the disc of an unfocused point [low px]; 0: in focus
    motion: float  # length of the path during the exposure [low px]; 0: still
    motion_angle: float  # degrees
    camera: int  # side of the face in the camera's pixels
    shot: float  # variance of the noise a unit of linear light
    read: float  # variance of the noise in the dark
    codec: str  # h264 or jpeg
    quality: int  # x264's rate factor, or JPEG's quality
    left: int  # where the face begins in a block of 16×16 pixels
    top: int


def draw(generator: np.random.Generator, low_size: int) -> Recipe:
    """Draws a recipe for faces of `low_size` pixels a side in the end."""

    def uniform(limits: tuple[float, float]) -> float:
        return round(float(generator.uniform(*limits)), 3)

    def whole(limits: tuple[float, float]) -> int:
        return int(generator.integers(round(limits[0]), round(limits[1]) + 1))

    sigma = uniform(SIGMA)
    shot = exp(generator.uniform(log(SHOT[0]), log(SHOT[1])))
    read = exp(generator.normal(READ_SLOPE * log(shot) + READ_OFFSET, READ_SPREAD))
    h264 = generator.random() < H264_SHARE
    return Recipe(
        sigma=sigma,
        sigma_across=round(sigma * uniform(ROUNDNESS), 3),
        angle=uniform((0, 180)),
        defocus=uniform(DEFOCUS) if generator.random() < DEFOCUS_SHARE else 0.0,
        motion=uniform(MOTION) if generator.random() < MOTION_SHARE else 0.0,
        motion_angle=uniform((0, 180)),
        camera=whole((CAMERA[0] * low_size, CAMERA[1] * low_size)),
        shot=float(f"{shot:.3g}"),
        read=float(f"{read:.3g}"),
        codec="h264" if h264 else "jpeg",
        quality=whole(CRF if h264 else JPEG),
        left=whole((0, 15)),
        top=whole((0, 15)),
    )


def degrade_clip(
    high: NDArray[np.uint8], scale: int, seed: int
) -> tuple[NDArray[np.uint8], Recipe]:
    """Returns the low frames, T×h×h×3 uint8 with h = S/scale, of the clip `high`, T×S×S×3 uint8
    RGB, and the recipe that made them; both follow from `seed` alone."""
    generator = np.random.default_rng(seed)
    recipe = draw(generator, high.shape[1] // scale)
    return film(high, scale, recipe, generator), recipe


def film(
    high: NDArray[np.uint8], scale: int, recipe: Recipe, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns T×h×h×3 uint8 of `high`, T×S×S×3 uint8, by `recipe`; the noise is `generator`'s."""
    kernel = blur_kernel(recipe, scale)
    taken = np.stack([_photograph(frame, kernel, recipe, generator) for frame in high])
    coded = compress(taken, recipe.codec, recipe.quality, recipe.left, recipe.top)
    side = high.shape[1] // scale
    how = cv2.INTER_AREA if recipe.camera >= side else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (side, side), interpolation=how) for frame in coded])


def _photograph(
    frame: NDArray[np.uint8],
    kernel: NDArray[np.float32],
    recipe: Recipe,
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    # Light is added up before a camera's gamma. 2 stands for sRGB's 2.2: square and root are
    # rounded alike on every machine, which powers are not.
    light = np.square(frame.astype(np.float32) / 255)
    light = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    light = cv2.resize(light, (recipe.camera, recipe.camera), interpolation=cv2.INTER_AREA)
    noise = generator.standard_normal(light.shape, np.float32)
    light = light + noise * np.sqrt(recipe.read + recipe.shot * light.clip(0, 1))
    return np.rint(255 * np.sqrt(light.clip(0, 1))).astype(np.uint8)


def blur_kernel(recipe: Recipe, scale: int) -> NDArray[np.float32]:
    """Returns the point spread in high pixels, square with an odd side, of sum 1: the Gaussian, the
    disc and the line of `recipe`, one convolved with the other."""
    reach = 3 * recipe.sigma + recipe.defocus + recipe.motion / 2
    radius = ceil(reach * scale) + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    along, across = _turned(x, y, recipe.angle)
    kernel = np.exp(
        -0.5 * ((along / recipe.sigma) ** 2 + (across / recipe.sigma_across) ** 2) / scale**2
    )
    if recipe.defocus:
        # Edges are one pixel soft, as the overlap with square pixels is.
        disc = (recipe.defocus * scale + 0.5 - np.hypot(x, y)).clip(0, 1)
        kernel = _convolved(kernel, disc)
    if recipe.motion:
        along, across = _turned(x, y, recipe.motion_angle)
        line = (recipe.motion * scale / 2 + 0.5 - np.abs(along)).clip(0, 1)
        kernel = _convolved(kernel, line * (1 - np.abs(across)).clip(0, 1))
    return (kernel / kernel.sum()).astype(np.float32)


def _turned(
    x: NDArray[np.float64], y: NDArray[np.float64], degrees: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = np.deg2rad(degrees)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _convolved(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return cv2.filter2D(a, -1, b, borderType=cv2.BORDER_CONSTANT)
