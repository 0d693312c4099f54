"""Opens a folder of numbered images, or a single one, as a stream of RGB frames."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import PurePosixPath

import cv2
import fsspec
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from datasets.sources.footage import DIFFERING, MISSING, Bounds, DecodeError, Footage, Frame
from datasets.sources.frame_labels import LabelError, faces_of, missing_before
from datasets.sources.layouts import Source, is_image
from datasets.sources.memory import giving_back
from infra import storage
from infra.extraction import Limits
from infra.text import one_line

# What Pillow may take a file for, whatever its name says, of some 40; OpenCV, which decodes, then
# sees the same. What has the extensions of `layouts` is one of these.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
# The limit is max_pixels, not Pillow's own.
Image.MAX_IMAGE_PIXELS = None
# What libjpeg says of headers that OpenCV reads well, and what only the quick look cannot do.
ODD = (
    "unknown JFIF revision|Unknown Adobe color transform|Invalid SOS parameters|bad ICC marker|"
    "Could not determine|Could not scale|Unsupported color conversion"
)


@contextmanager
def open_images(source: Source, limits: Limits, rate: Fraction) -> Iterator[Footage]:
    """Opens the images of a folder, in the order of the numbers in their names, as `rate`
    frames/s; raises `DecodeError` as `video.open_source` does."""
    bounds = Bounds(source.name, limits)
    filesystem, path = storage.file_system(source.uri)
    paths = [path] if source.kind == "image" else _images_in(filesystem, path, source.name)
    names = [PurePosixPath(path).name for path in paths]
    bounds.check_length(float(len(paths) / rate))
    try:
        faces = faces_of(source.labels, PurePosixPath(path).name, names) if source.labels else None
    except LabelError as error:
        raise DecodeError(f"{source.name}: {error}", error.kind) from error
    first = _read_image(filesystem, paths[0], bounds)

    def frames() -> Iterator[Frame]:
        yield first
        for path in paths[1:]:
            bounds.check_time()
            image = _read_image(filesystem, path, bounds)
            if image.shape != first.shape and source.kind != "crops":
                raise DecodeError(
                    f"{source.name}: {PurePosixPath(path).name} is {size_of(image.shape)}, but "
                    f"{PurePosixPath(paths[0]).name} is {size_of(first.shape)}; the images of one "
                    "folder must have one size",
                    DIFFERING,
                )
            yield image

    height, width = first.shape[:2]
    yield Footage(
        source.name, rate, width, height, lambda: giving_back(frames()),
        dict.fromkeys(missing_before(names), MISSING), faces=faces, pause=bounds.pause,
    )  # fmt: skip


def _images_in(filesystem: fsspec.AbstractFileSystem, folder: str, name: str) -> list[str]:
    try:
        paths = sorted(filter(is_image, filesystem.ls(folder, detail=False)), key=_natural)
    except OSError as error:
        raise DecodeError.at(name, "not a readable folder", f" ({short(error)})") from error
    if not paths:
        raise DecodeError.at(name, "the folder holds no image")
    return paths


def _read_image(filesystem: fsspec.AbstractFileSystem, path: str, bounds: Bounds) -> Frame:
    file = PurePosixPath(path).name
    label = bounds.name if PurePosixPath(bounds.name).name == file else f"{bounds.name}/{file}"
    try:
        data = filesystem.cat_file(path)
    except OSError as error:
        raise DecodeError.at(label, "cannot be read", f" ({short(error)})") from error
    if not data:
        raise DecodeError.at(label, "the file is empty")
    try:
        # The header alone: a few kilobytes may declare gigabytes of pixels.
        with Image.open(io.BytesIO(data), formats=FORMATS) as header:
            bounds.check_size(*header.size, label)
            if header.format in ("JPEG", "MPO") and (damage := _jpeg_damage(data)):
                raise DecodeError.at(label, "damaged", f" ({damage}); get a sound copy")
            if header.format == "PPM":
                return _netpbm_pixels(header)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except DecodeError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError.at(
            label, "not a readable image", " (no JPEG, PNG, WebP, BMP or PNM); convert it"
        ) from error
    except (OSError, SyntaxError, ValueError, cv2.error) as error:
        raise DecodeError.at(label, "not a readable image") from error
    if image is None:
        raise DecodeError.at(label, "not a readable image")
    return image


def _netpbm_pixels(image: Image.Image) -> Frame:
    """The pixels of a PBM, PGM or PPM, whose largest value may be any up to 65535: Pillow scales
    by it, to 16 bits where it is over 255; OpenCV does not."""
    if image.mode != "I":
        return np.array(image.convert("RGB"), np.uint8)
    grey = np.rint(np.asarray(image, np.float32) * (255 / 65535)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, 2)


def _jpeg_damage(data: bytes) -> str:
    """What libjpeg finds damaged in a JPEG, else "": OpenCV gives grey blocks and says nothing.

    Bytes behind the end are no damage. Behind an odd header damage is not looked for.
    """
    try:
        # An eighth of the size is cheap, and all data are unpacked for it.
        simplejpeg.decode_jpeg(
            data, colorspace="GRAY", fastdct=True, fastupsample=True, min_height=1, min_width=1
        )
    except ValueError as error:
        return "" if re.search(ODD, str(error)) else short(error)
    return ""


def _natural(path: str) -> list[tuple[int, str]]:
    """Key that puts img2 before img10: runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", PurePosixPath(path).name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def size_of(shape: tuple[int, ...]) -> str:
    """width×height of an H×W×3 shape, for messages."""
    return f"{shape[1]}×{shape[0]}"


def short(error: Exception) -> str:
    """The text of an error in one line of at most 120 characters."""
    return one_line(getattr(error, "strerror", None) or error, 120)
