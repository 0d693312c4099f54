"""The first baseline of every table: bicubic enlargement of the central frame."""

from torch import Tensor, nn
from torch.nn import functional

from model.pixels import check_low


class Bicubic(nn.Module):
    """Bicubic enlargement of the frame, clamped to [0, 1]: the paper's first baseline.

    Keys' kernel with a = -0.5, as in Pillow and MATLAB, at the borders too.
    """

    variant = "bicubic"
    num_frames = frame_step = 1

    def __init__(self, scale: int, size: int) -> None:
        super().__init__()
        self.scale, self.size = scale, size

    def forward(self, low: Tensor) -> Tensor:
        """B×1×3×h×w in [0, 1] → B×3×size×size in [0, 1]; raises ValueError on another shape."""
        check_low(low, 1, self.size // self.scale)
        return self.enlarge(low[:, 0])

    def enlarge(self, frames: Tensor) -> Tensor:
        """N×3×h×w in [0, 1] → N×3×size×size in [0, 1]."""
        # Without `antialias`, which changes nothing else where a picture grows, a is -0.75.
        large = functional.interpolate(
            frames, (self.size, self.size), mode="bicubic", align_corners=False, antialias=True
        )
        return large.clamp(0, 1)

    def description(self) -> dict[str, str]:
        """What `build` needs to make this module again."""
        return {"variant": "bicubic", "scale": str(self.scale), "size": str(self.size)}
