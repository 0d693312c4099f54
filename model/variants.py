"""What the name of a variant says; without torch, so that settings can be checked at once.

`f1` is F₀ and R alone (the paper's single-image baseline), `f5` and `f25` stack without P and M,
`f5warp` and `f25warp` are the full network, `bicubic` is interpolation with no parameters. Beside
them stands `linear25warp` and the like, ours: P, M and filters in place of F's second stream and R
(model/layers/linear.py).
"""

import re
from typing import NamedTuple

VARIANTS = ("bicubic", "f1", "f5", "f25", "f5warp", "f25warp")


class Variant(NamedTuple):
    """What a variant's name says: frames in a window (odd), whether they are warped, and whether
    fixed filters take the place of R."""

    num_frames: int
    warp: bool
    linear: bool = False


def parse_variant(name: str) -> Variant:
    """Read `bicubic`, `f<odd number>[warp]` or `linear<odd number>[warp]`; raises ValueError that
    says what is expected."""
    if name == "bicubic":
        return Variant(1, False)
    match = re.fullmatch(r"(f|linear)([1-9]\d*)(warp)?", name)
    expected = f"expected bicubic or f<odd number>[warp], such as {', '.join(VARIANTS[1:])}"
    if match is None:
        raise ValueError(f"variant {name!r}: {expected}")
    num_frames, warped = int(match[2]), match[3] is not None
    if num_frames % 2 == 0:
        raise ValueError(f"variant {name!r}: an even window has no central frame; {expected}")
    if num_frames == 1 and warped:
        raise ValueError(f"variant {name!r}: a single frame has nothing to warp; use f1")
    return Variant(num_frames, warped, match[1] == "linear")


def variant_name(num_frames: int, warp: bool) -> str:
    """The name of a network, such as f5warp; a single frame has nothing to warp."""
    return f"f{num_frames}warp" if warp and num_frames > 1 else f"f{num_frames}"


def widest(variants: list[str]) -> str:
    """The variant that sees most: that of most frames, of those that warp if any does."""

    def sees(name: str) -> tuple[bool, int]:
        parsed = parse_variant(name)
        return parsed.warp, parsed.num_frames

    return max(variants, key=sees)
