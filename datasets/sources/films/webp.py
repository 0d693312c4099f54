"""Reads an animated WebP, which FFmpeg does not: with Pillow, each frame on white as one of a GIF.

What it is made of is told by the file itself (RIFF): a chunk a frame, with the time that it stays.
A frame may be but a piece that is laid over the one before; so behind a broken one all is lost.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, chain
from typing import IO

import numpy as np
from PIL import Image

from datasets.sources.films.clock import REMEMBERED, Clock, usual_rate
from datasets.sources.films.decoding import ENDS_EARLY
from datasets.sources.films.truncation import TRUNCATED
from datasets.sources.footage import Bounds, DecodeError, Footage, Frame
from datasets.sources.images import short
from datasets.sources.memory import giving_back

HEAD = 30  # bytes, which tell the size of the picture
RIFF, CHUNK = 12, 8  # bytes of the headers: of the file, of a chunk
NO_TIME, INSTEAD = 10, 100  # ms: a frame that is to stay no longer than that stays for this
DECODED = 16  # bytes a pixel that decoding takes at the least: two canvases, the frame, its image
FINEST = 1001  # the largest denominator of a rate


@dataclass(frozen=True)
class Chunks:
    """The whole chunks of a file: their `end` [bytes], for how long its frames stay (`stays`, ms),
    the size that it `promised` [bytes], and whether it is `complete`: of that size, and no chunk
    reaches beyond it."""

    end: int
    stays: tuple[int, ...]
    promised: int
    complete: bool


def open_webp(file: IO[bytes], bounds: Bounds) -> Footage:
    """The footage of an animated WebP, `file` at its beginning.

    Raises `DecodeError`, as its frames do, for what is damaged, truncated or beyond the bounds;
    frames before that are given where damage splits films.
    """
    counts: Counter[str] = Counter()
    data = _read(file, bounds)
    chunks = chunks_of(data)
    if not chunks.complete:
        _lose_end(bounds, counts, TRUNCATED, f": {_of_bytes(data, chunks)}")
        data = _cut(data, chunks)
    begins = [Fraction(time, 1000) for time in accumulate(chunks.stays, initial=0)]
    if begins[-1] == 0:
        raise DecodeError.at(bounds.name, "no frame could be decoded")
    bounds.check_length(float(begins[-1]))
    mean = (len(chunks.stays) / begins[-1]).limit_denominator(FINEST)
    rate = usual_rate(mean, begins[: REMEMBERED + 1])
    times: list[float] = []
    breaks: dict[int, str] = {}
    clock = Clock(rate, False, times, breaks)
    image = _opened(data, len(chunks.stays), bounds)

    def frames() -> Iterator[Frame]:
        for begin, picture in zip(begins, _pictures(image, bounds, counts), strict=False):
            clock.show(float(begin))
            yield picture

    pictures = frames()
    first = next(pictures, None)
    if first is None:
        raise DecodeError.at(bounds.name, "no frame could be decoded")
    given = giving_back(chain([first], pictures))
    return Footage(
        bounds.name, rate, *image.size, lambda: given, breaks, times,
        counts=counts, pause=bounds.pause,
    )  # fmt: skip


def chunks_of(data: bytes) -> Chunks:
    """What a file is made of; bytes behind the end that it promises are none of it."""
    promised = CHUNK + int.from_bytes(data[4:8], "little")
    place, stays, size = RIFF, list[int](), min(len(data), promised)
    while place + CHUNK <= size:
        begin = place + CHUNK
        end = begin + int.from_bytes(data[place + 4 : begin], "little")
        if end > size:
            return Chunks(place, tuple(stays), promised, False)
        if data[place : place + 4] == b"ANMF":
            stay = int.from_bytes(data[begin + 12 : begin + 15], "little")
            stays.append(stay if stay > NO_TIME else INSTEAD)  # as browsers do
        place = end + end % 2
    return Chunks(place, tuple(stays), promised, len(data) >= promised)


def _read(file: IO[bytes], bounds: Bounds) -> bytes:
    """All of the file, once its header is within the bounds."""
    try:
        head = file.read(HEAD)
        if len(head) == HEAD:
            sides = head[24:27], head[27:30]
            width, height = (int.from_bytes(side, "little") + 1 for side in sides)
            bounds.check_size(width, height)
            np.empty((height, width, DECODED), np.uint8)  # libwebp calls too little memory damage
        return head + file.read()
    except OSError as error:
        said = f" ({short(error)})"
        raise DecodeError.at(bounds.name, "not readable to its end", said) from error


def _of_bytes(data: bytes, chunks: Chunks) -> str:
    if len(data) < chunks.promised:
        return f"{len(data)} of the {chunks.promised} bytes of its header"
    return f"what is in it ends after {chunks.end} of its {chunks.promised} bytes"


def _cut(data: bytes, chunks: Chunks) -> bytes:
    """A file of the whole chunks alone; the last may lack the byte that makes it even."""
    size = (chunks.end - CHUNK).to_bytes(4, "little")
    return (data[:4] + size + data[8 : chunks.end]).ljust(chunks.end, b"\0")


def _opened(data: bytes, count: int, bounds: Bounds) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=("WEBP",))
    except (OSError, SyntaxError, ValueError) as error:
        raise DecodeError.at(bounds.name, "damaged", f" ({short(error)})") from error
    found = getattr(image, "n_frames", 1)
    if found != count:
        raise DecodeError.at(bounds.name, "damaged", f": {found} of its {count} frames are sound")
    return image


def _pictures(image: Image.Image, bounds: Bounds, counts: Counter[str]) -> Iterator[Frame]:
    """The frames H×W×3 up to one that is broken, which is an error unless damage splits films."""
    for number in range(getattr(image, "n_frames", 1)):
        bounds.check_time()
        try:
            image.seek(number)
            image.load()
        except (OSError, EOFError) as error:
            _lose_end(bounds, counts, "damaged", f" after frame {number} ({short(error)})")
            return
        yield _on_white(image)


def _on_white(image: Image.Image) -> Frame:
    if image.mode != "RGBA":
        return np.array(image.convert("RGB"), np.uint8)
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.array(white.convert("RGB"), np.uint8)


def _lose_end(bounds: Bounds, counts: Counter[str], kind: str, said: str) -> None:
    """Counts an end that is lost where damage splits films, else refuses the film."""
    if bounds.limits.damage != "split":
        raise DecodeError.at(bounds.name, kind, said)
    counts[ENDS_EARLY] = 1
