"""The whole network (paper §3, §5.3): F, P, M, the stack in temporal order, R.

variants.py says what the names of its variants stand for. The steps of the forward pass are
methods, because streaming inference does the per-frame ones once a frame.

Suffixes: B batch, T = 2k+1 frames, A = T-1 others, D = 4 maps each (3 of `linear`),
h w low pixels, S high ones.
"""

import torch
from torch import Tensor, nn

from model.layers.bicubic import Bicubic
from model.layers.features import DEPTH, Enlargement, FeatureExtractor
from model.layers.linear import LinearRestoration
from model.layers.reconstruction import Reconstruction
from model.layers.warp_predictor import WarpPredictor
from model.layers.warping import warp
from model.pixels import check_low, without_centre
from model.thin_plate_spline import dense_field
from model.variants import Variant, parse_variant

WHOLE = (slice(None), slice(None))


def build(
    variant: str,
    scale: int = 8,
    size: int = 128,
    width: float = 1.0,
    start: str = "passthrough",
    frame_step: int = 1,
) -> nn.Module:
    """Build a variant: `forward(low: B×T×3×h×w in [0, 1]) → B×3×size×size` with h = size / scale.

    `width` multiplies the filters of R; `start` is R's initialisation, `passthrough` (ours, no
    change of architecture: it starts from the upsampled central frame) or `kaiming`; the third,
    `linear`, needs clips (`start_linear`). The frames of a window are `frame_step` apart in their
    film. Raises ValueError for an unknown variant or sizes that do not fit.
    """
    parsed = parse_variant(variant)
    if scale < 2 or scale % 2 or size % scale or size // scale < 2:
        raise ValueError(
            f"scale {scale}, size {size}: scale must be even and divide size into at least 2 "
            "pixels, such as 8 and 128"
        )
    if width <= 0:
        raise ValueError(f"width: expected a positive multiple of R's filters, got {width}")
    if frame_step < 1:
        raise ValueError(f"frame_step: expected 1 frame or more, got {frame_step}")
    if variant == "bicubic":
        return Bicubic(scale, size)
    return Network(variant, parsed, scale, size, width, start, frame_step)


class Network(nn.Module):
    """A trained variant: F₀ for the central frame, one F for all adjacent ones, P and M, R."""

    def __init__(
        self,
        variant: str,
        parsed: Variant,
        scale: int,
        size: int,
        width: float,
        start: str,
        frame_step: int,
    ) -> None:
        super().__init__()
        self.variant, self.scale, self.size, self.width = variant, scale, size, width
        self.num_frames, self.frame_step = parsed.num_frames, frame_step
        self.radius = parsed.num_frames // 2
        self.central = _extractor(parsed, scale, size)
        self.adjacent = _extractor(parsed, scale, size) if self.radius else None
        self.predictor = WarpPredictor(size // scale) if parsed.warp else None
        self.reconstruction = (
            LinearRestoration(parsed.num_frames)
            if parsed.linear
            else Reconstruction(parsed.num_frames * DEPTH, self.radius * DEPTH, width, start)
        )

    def forward(
        self, low: Tensor, shifts: Tensor | None = None, crop: tuple[slice, slice] = WHOLE
    ) -> Tensor:
        """B×T×3×h×w in [0, 1] → B×3×size×size in [0, 1]; raises ValueError on another shape.

        `shifts`, B×A×64×2 for the other frames in temporal order, stand in for what P predicts.
        Of a `crop` (rows, columns of high pixels) R sees no more, and makes no more.
        """
        return self.reconstruction(self.aligned(low, shifts, crop))

    def aligned(
        self, low: Tensor, shifts: Tensor | None = None, crop: tuple[slice, slice] = WHOLE
    ) -> Tensor:
        """What R sees: B×(T·D)×S×S, the features of all frames in temporal order."""
        check_low(low, self.num_frames, self.size // self.scale)
        features_BDSS = self.central(low[:, self.radius])
        if self.adjacent is None:
            return features_BDSS[:, :, *crop]
        others_BA = without_centre(low)
        maps_BADSS = self.adjacent(others_BA.flatten(0, 1)).unflatten(0, others_BA.shape[:2])
        if shifts is None and self.predictor is not None:
            shifts = self.predicted_shifts(low)
        return self.stack(features_BDSS, maps_BADSS, shifts, crop)

    def predicted_shifts(self, low: Tensor) -> Tensor:
        """What P says of a window B×T×3×h×w: shifts B×A×64×2 of the others against the centre."""
        assert self.predictor is not None
        others_BA = without_centre(low)
        maps = self.predictor.adjacent_maps(others_BA.flatten(0, 1))
        return self.window_shifts(
            self.predictor.central_maps(low[:, self.radius]),
            maps.unflatten(0, others_BA.shape[:2]),
        )

    def window_shifts(self, central_maps: Tensor, adjacent_maps: Tensor) -> Tensor:
        """P's maps of the centre B×20×h×w and the others B×A×20×h×w → shifts B×A×64×2."""
        assert self.predictor is not None
        count = adjacent_maps.shape[1]
        repeated = central_maps.unsqueeze(1).expand(-1, count, -1, -1, -1)
        shifts = self.predictor.shifts(repeated.flatten(0, 1), adjacent_maps.flatten(0, 1))
        return shifts.unflatten(0, (-1, count))

    def stack(
        self,
        features: Tensor,
        maps: Tensor,
        shifts: Tensor | None,
        crop: tuple[slice, slice] = WHOLE,
    ) -> Tensor:
        """Central B×D×S×S and adjacent B×A×D×S×S features → B×(T·D)×S×S in temporal order.

        With B×A×64×2 `shifts` the adjacent maps are warped (M); the central ones never are. Of a
        `crop` the stack has no more, though it is read from the whole maps.
        """
        features = features[:, :, *crop]
        if shifts is not None:
            field = dense_field(shifts.flatten(0, 1), self.size, self.size)
            aligned = warp(maps.flatten(0, 1), field[:, *crop]).to(features.dtype)
            maps = aligned.unflatten(0, maps.shape[:2])
        else:
            maps = maps[:, :, :, *crop]
        before, after = maps[:, : self.radius], maps[:, self.radius :]
        return torch.cat((before.flatten(1, 2), features, after.flatten(1, 2)), dim=1)

    def description(self) -> dict[str, str]:
        """What `build` needs to make this module again, as text."""
        return {
            "variant": self.variant,
            "scale": str(self.scale),
            "size": str(self.size),
            "width": str(self.width),
            "frame_step": str(self.frame_step),
        }


def _extractor(parsed: Variant, scale: int, size: int) -> nn.Module:
    return Enlargement(scale) if parsed.linear else FeatureExtractor(scale, size)
