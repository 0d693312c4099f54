"""Makes decoded frames what a player shows: progressive, upright RGB of square pixels.

Convention: the display matrix takes a stored pixel (x, y), y down, to (a x + c y, b x + d y).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.video.reformatter import (
    ColorPrimaries,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from datasets.sources.films.filters import filtering
from datasets.sources.films.hdr import Curve, Toned
from datasets.sources.footage import BT709, Bounds, Colours, Frame

UNTAGGED = 2  # the matrix of colours, where the film does not tell it
OF_601 = 5, 6  # matrices of BT.601, of 625 and 525 lines; so are numbered their primaries, too
UNTOLD = 0, 2  # of primaries and curves: reserved, unspecified
# Without them FFmpeg cuts off where it should round, and repeats colours in place of interpolating.
EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
HD = 1280, 720  # at least as wide or as high, an untagged film is of BT.709, else of BT.601
CURVES: dict[int, Curve] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
NEARLY_SQUARE = 0.01
Matrix = tuple[float, float, float, float]  # a, b, c, d
UPRIGHT: Matrix = (1.0, 0.0, 0.0, 1.0)
STRAIGHT = math.sin(math.radians(1))  # less is no tilt, as players have it


class Pictures:
    """Makes frames of one size whose stored pixels are `aspect` times as wide as high; the smaller
    side is enlarged, so that nothing is lost. `counts` grows by the treatments.

    `pixel_aspect` is that of a stored pixel in the picture as shown, and `colours` what the picture
    is told to be of, both known with the first one. `exact` pictures take longer and are not some
    1.3 levels darker than the film.
    """

    def __init__(
        self, aspect: Fraction | None, bounds: Bounds, counts: Counter[str], exact: bool = False
    ) -> None:
        self.aspect = float(aspect or 1)
        if abs(self.aspect - 1) <= NEARLY_SQUARE:
            self.aspect = 1.0
        self.bounds, self.counts, self.pixel_aspect = bounds, counts, 1.0
        self.colours, self.conversion = BT709, EXACT if exact else None
        # A frame's own would be set up anew for each of them.
        self.to_rgb, self.to_deep = VideoReformatter(), VideoReformatter()
        self.toned: tuple[Curve, Toned] | None = None

    def __call__(self, frame: av.VideoFrame) -> Frame:
        """The picture H×W×3 of a frame."""
        matrix, curve = display_matrix(frame), _curve(frame)
        self.colours = _colours(frame)
        if curve is not None:
            self.counts["frames of wide gamut" if curve == "ordinary" else "HDR frames"] += 1
            frame = self._shown(frame, curve)
        shown = self.to_rgb.reformat(
            frame, format="rgb24", src_colorspace=_colour_matrix(frame), threads=1,
            interpolation=self.conversion,
        ).to_ndarray()  # fmt: skip
        image = shown.astype(np.uint8, copy=False)
        if self.aspect != 1:
            self.counts["frames of non-square pixels"] += 1
            image = self._squared(image)
        if matrix != UPRIGHT:
            self.counts["turned frames"] += 1
        turned = abs(matrix[0]) < STRAIGHT
        self.pixel_aspect = 1 / self.aspect if turned else self.aspect
        return np.ascontiguousarray(upright(image, matrix))

    def _squared(self, image: Frame) -> Frame:
        height, width = image.shape[:2]
        size = max(width, round(width * self.aspect)), max(height, round(height / self.aspect))
        self.bounds.check_size(*size)
        squared: Frame = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        return squared

    def _shown(self, frame: av.VideoFrame, curve: Curve) -> av.VideoFrame:
        deep = self.to_deep.reformat(
            frame, format="gbrp12le", src_colorspace=_colour_matrix(frame), threads=1
        )
        if self.toned is None or self.toned[0] != curve:
            self.toned = curve, Toned(deep, curve)
        return self.toned[1](deep)


def _curve(frame: av.VideoFrame) -> Curve | None:
    """How a frame is to be toned, None for an ordinary one."""
    wide = frame.color_primaries == ColorPrimaries.BT2020
    return CURVES.get(frame.color_trc, "ordinary" if wide else None)


def _colour_matrix(frame: av.VideoFrame) -> int | None:
    """The matrix of a frame that does not tell its own, None for one that does."""
    if frame.colorspace != UNTAGGED or frame.format.is_rgb:
        return None
    if _curve(frame) is not None:
        return Colorspace.BT2020
    large = frame.width >= HD[0] or frame.height >= HD[1]
    return Colorspace.ITU709 if large else Colorspace.ITU601


def _colours(frame: av.VideoFrame) -> Colours:
    """The colours of a picture that is made of a frame; those that are not told go by its matrix,
    as players have it."""
    if _curve(frame) is not None:
        return BT709
    untold = BT709
    if not frame.format.is_rgb:
        if frame.colorspace in OF_601:
            untold = Colours(frame.colorspace, ColorTrc.SMPTE170M)
        elif _colour_matrix(frame) == Colorspace.ITU601:
            untold = Colours(ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M)
    primaries, curve = int(frame.color_primaries), int(frame.color_trc)
    return Colours(
        untold.primaries if primaries in UNTOLD else primaries,
        untold.curve if curve in UNTOLD else curve,
    )


def display_matrix(frame: av.VideoFrame) -> Matrix:
    """How a frame is to be turned, of columns of length 1; `UPRIGHT` where it says nothing."""
    # Not `frame.side_data`, which the frame keeps and which keeps the frame: of large frames there
    # could be gigabytes before Python looks for such circles.
    said = cast(Mapping[Type, SideData], SideDataContainer(frame))  # type: ignore[call-arg]
    if Type.DISPLAYMATRIX not in said:
        return UPRIGHT
    numbers = np.frombuffer(bytes(said[Type.DISPLAYMATRIX]), np.int32).astype(float)
    a, b, c, d = numbers[[0, 1, 3, 4]]
    first, second = math.hypot(a, b), math.hypot(c, d)
    if not first or not second:
        return UPRIGHT
    return a / first, b / first, c / second, d / second


def upright(image: Frame, matrix: Matrix) -> Frame:
    """The picture turned and mirrored as the matrix says. By an odd angle it keeps its size, as
    players do, and is black where there is nothing."""
    a, b, c, d = matrix
    if abs(b) < STRAIGHT:
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    if abs(a) < STRAIGHT:
        return image.swapaxes(0, 1)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    if a * d < b * c:
        image = image[::-1]  # mirrored first, then turned
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(
        ((width - 1) / 2, (height - 1) / 2), -math.degrees(math.atan2(b, a)), 1
    )
    turned: Frame = cv2.warpAffine(np.ascontiguousarray(image), turn, (width, height))
    return turned


def progressive(frames: Iterator[av.VideoFrame], counts: Counter[str]) -> Iterator[av.VideoFrame]:
    """Passes frames on, one for one; from the first interlaced one on through FFmpeg's bwdif,
    which rebuilds the lines of the later field and leaves progressive frames as they are."""
    graph: av.filter.Graph | None = None
    for frame in frames:
        if frame.interlaced_frame:
            counts["deinterlaced frames"] += 1
        if graph is None and frame.interlaced_frame:
            graph = filtering(frame, "bwdif", mode="send_frame", deint="interlaced")
        if graph is None:
            yield frame
            continue
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    pull: Callable[[], av.VideoFrame] = graph.vpull
    while True:
        try:
            yield pull()
        except (av.BlockingIOError, av.EOFError):
            return
