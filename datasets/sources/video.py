"""Opens a video file or a folder of images as a stream of RGB frames, or says what is wrong.

A damaged file is refused as a whole unless `limits.damage` says to split it there. So iterate to
the end before believing any frame.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from typing import IO

import av
import cv2
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from datasets.sources.films.decoding import IMAGE_RATE, Film
from datasets.sources.films.picture import Pictures, progressive
from datasets.sources.films.truncation import least_seconds
from datasets.sources.films.webp import open_webp
from datasets.sources.footage import TOO_LARGE, Bounds, DecodeError, Footage, Frame
from datasets.sources.images import open_images, short
from datasets.sources.layouts import Source
from datasets.sources.listing import is_animated_webp
from datasets.sources.memory import giving_back
from infra import process, storage
from infra.extraction import Limits

# Playlists and scripts are formats to FFmpeg too, and would have it open other files and addresses;
# and an image with the name of a video is decoded in full to learn its size.
FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,asf,flv,ogg,mxf,dv,gif"
# FFmpeg's decoders that are used, of some 300: those of cameras, phones, the web, and of editing.
# Old and rare ones are where its holes are found. Subtitles are never decoded, and sound only to
# learn its rate where the packets of a broadcast are to be copied, which do not tell it.
CODECS = (
    "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4,mpeg1video,mpeg2video,mjpeg,h263,theora,flv,vp6f,vc1,"
    "wmv1,wmv2,wmv3,msmpeg4,msmpeg4v1,msmpeg4v2,prores,dnxhd,dvvideo,"
    "ffv1,huffyuv,ffvhuff,rawvideo,qtrle,png,gif"
)
OF_SOUND = ",aac,aac_latm"
REMEDY = "; transcode it: ffmpeg -i FILE -c:v libx264 -crf 18 NEW.mp4"
# Without it flipped bits decode to grey smears, and many without any error.
DETECTION = "+crccheck+bitstream+buffer+explode"
HEAD = 1 << 14  # bytes, in which a WMV file tells its size
# A cover, a preview, a slide: pictures that are no film.
NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@contextmanager
def open_source(
    source: Source,
    limits: Limits | None = None,
    image_rate: Fraction = IMAGE_RATE,
    exact: bool = False,
) -> Iterator[Footage]:
    """Opens `source` for reading, as a context manager that gives a `Footage`.

    `image_rate` is the rate of images; `exact`: `Pictures`. Opening and iterating raise
    `DecodeError` for what is empty, not a video, without a video stream, damaged, truncated,
    beyond `limits`, or of differing image sizes. The limit of memory holds for the whole
    process until it is closed.
    """
    limits = limits or Limits()
    if not _is_text(source.name):
        raise DecodeError.at(f"{source.name!a}", "the name is not UTF-8", "; rename the file")
    if ".." in source.name.split("/"):
        raise DecodeError.at(source.name, "the name leads out of its folder", "; rename the object")
    try:
        with process.limited_memory(limits.max_memory), ExitStack() as stack:
            if source.kind == "video":
                yield stack.enter_context(_open_video(source, limits, exact))
            else:
                yield stack.enter_context(open_images(source, limits, image_rate))
    except MemoryError as error:
        raise DecodeError(
            f"{source.name}: takes more than {limits.max_memory} MB of memory; scale it down, "
            "transcode it or raise max_memory",
            "takes too much memory",
        ) from error


@contextmanager
def open_container(source: Source, limits: Limits) -> Iterator[InputContainer]:
    """Opens a video file that is no animated WebP for its packets; raises `DecodeError`."""
    with (
        _opened(source) as (file, _),
        _container(file, source.name, limits, CODECS + OF_SOUND) as container,
    ):
        yield container


@contextmanager
def _opened(source: Source) -> Iterator[tuple[IO[bytes], bytes]]:
    """A file and its beginning."""
    filesystem, path = storage.file_system(source.uri)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(storage.open_blocks(filesystem, path))
            if not (head := file.read(HEAD)):
                raise DecodeError.at(source.name, "the file is empty")
            file.seek(0)
        except OSError as error:
            raise _unreadable(source.name, error) from error
        yield file, head


def _container(file: IO[bytes], name: str, limits: Limits, codecs: str = CODECS) -> InputContainer:
    try:
        # FFmpeg decodes a frame or two on opening: the bound must hold from there on.
        options = {
            "format_whitelist": FORMATS, "codec_whitelist": codecs,
            "protocol_whitelist": "none",  # whatever a container refers to stays closed
            "max_pixels": str(limits.max_pixels),
        }  # fmt: skip
        return av.open(file, "r", options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(name, error) from error


@contextmanager
def _open_video(source: Source, limits: Limits, exact: bool) -> Iterator[Footage]:
    bounds = Bounds(source.name, limits)
    with ExitStack() as stack:
        file, head = stack.enter_context(_opened(source))
        if is_animated_webp(head):  # whatever it is called
            yield open_webp(file, bounds)
            return
        container = stack.enter_context(_container(file, source.name, limits))
        stream = _pictures_of(container, bounds)
        # One thread: Ray gives a task one core, and runs as many tasks as there are cores.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {
            "err_detect": DETECTION,
            "codec_whitelist": CODECS,
            "max_pixels": str(limits.max_pixels),  # the stream may declare more than its container
        }
        film = Film(container, stream, bounds, file, head)
        show = Pictures(stream.sample_aspect_ratio, bounds, film.counts, exact)
        pictures = _shown(film, show)
        first = next(pictures, None)
        if first is None:
            raise DecodeError.at(source.name, "no frame could be decoded")
        height, width = first.shape[:2]
        frames = giving_back(chain([first], pictures))
        yield Footage(
            source.name, film.rate, width, height, lambda: frames, film.breaks, film.times,
            counts=film.counts, pixel_aspect=show.pixel_aspect, stream=stream.index,
            offsets=film.offsets, colours=show.colours,
            expected=stream.frames or round(least_seconds(container, stream) * film.rate),
            pause=bounds.pause,
        )  # fmt: skip


def _unreadable(name: str, error: Exception) -> DecodeError:
    return DecodeError.at(name, "not a readable video", f" ({short(error)})")


def _pictures_of(container: InputContainer, bounds: Bounds) -> VideoStream:
    """The stream that is the film, as players choose it: no cover, the default one, the largest."""
    name = bounds.name
    films = [stream for stream in container.streams.video if not stream.disposition & NO_FILM]
    if not films:
        raise DecodeError.at(name, "has no video stream")
    known = [stream for stream in films if stream.codec_context is not None]
    if not known:
        raise DecodeError.at(name, "its codec is not known here", REMEDY)

    def rank(stream: VideoStream) -> tuple[bool, int]:
        return bool(stream.disposition & Disposition.default), stream.width * stream.height

    stream = max(known, key=rank)
    if (codec := stream.codec_context.codec.name) not in CODECS.split(","):
        raise DecodeError.at(name, "its codec is not decoded here", f": {codec}{REMEDY}")
    if not stream.width:
        raise DecodeError(
            f"{name}: its frames are of more than {bounds.limits.max_pixels} pixels, or damaged; "
            "scale it down or raise max_pixels",
            TOO_LARGE,
        )
    return stream


def _shown(film: Film, show: Pictures) -> Iterator[Frame]:
    """The pictures of a film, as a player shows them."""
    try:
        yield from map(show, progressive(film.frames(), film.counts))
    except MemoryError:
        raise
    except cv2.error as error:  # of sound frames, so that nothing else can be wrong
        raise MemoryError from error
    except av.FFmpegError as error:
        raise DecodeError.at(film.bounds.name, "damaged", f" ({short(error)})") from error


def _is_text(name: str) -> bool:
    """Whether a name can be stored; Linux allows any bytes, which Python keeps as surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in name)
