"""Opens a video file or a folder of images as a stream of RGB frames, or says what is wrong.

A damaged file is refused as a whole: what is missing after the damage cannot be known. So iterate
to the end before believing any frame. Only the decoder can tell damage, and only where the codec
has redundancy: H.264, MPEG-1, -2, -4 and WMV seldom hide a flipped bit; HEVC, VP8, VP9 and AV1
mostly do.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from datasets.sources.footage import DIFFERING, TOO_LARGE, Bounds, DecodeError, Footage, Frame
from datasets.sources.images import open_images, short
from datasets.sources.layouts import Source
from datasets.sources.memory import giving_back
from datasets.sources.truncation import Tally, check_whole, promised_seconds
from infra import process, storage
from infra.extraction import Limits

IMAGE_RATE = Fraction(25)
# Playlists and scripts are formats to FFmpeg too, and would have it open other files and addresses;
# and an image with the name of a video is decoded in full to learn its size.
FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,asf,flv,ogg"
# FFmpeg's decoders that are used, of some 300: those of cameras, phones, the web, and of editing.
# Old and rare ones are where its holes are found. Sound and subtitles are never decoded.
CODECS = (
    "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4,mpeg1video,mpeg2video,mjpeg,h263,theora,flv,vp6f,vc1,"
    "wmv1,wmv2,wmv3,msmpeg4,msmpeg4v1,msmpeg4v2,prores,dnxhd,dvvideo,"
    "ffv1,huffyuv,ffvhuff,rawvideo,qtrle,png"
)
REMEDY = "; transcode it: ffmpeg -i FILE -c:v libx264 -crf 18 NEW.mp4"
# Without it flipped bits decode to grey smears, and many without any error.
DETECTION = "+crccheck+bitstream+buffer+explode"


@contextmanager
def open_source(
    source: Source, limits: Limits | None = None, image_rate: Fraction = IMAGE_RATE
) -> Iterator[Footage]:
    """Opens `source` for reading, as a context manager that gives a `Footage`.

    `image_rate` is the rate of images. Opening and iterating raise `DecodeError` for
    what is empty, not a video, without a video stream, damaged, truncated, beyond `limits`, or of
    differing image sizes. The limit of memory holds for the whole process until it is closed.
    """
    limits = limits or Limits()
    if not _is_text(source.name):
        raise DecodeError.at(f"{source.name!a}", "the name is not UTF-8", "; rename the file")
    if ".." in source.name.split("/"):
        raise DecodeError.at(source.name, "the name leads out of its folder", "; rename the object")
    try:
        with process.limited_memory(limits.max_memory), ExitStack() as stack:
            if source.kind == "video":
                yield stack.enter_context(_open_video(source, limits))
            else:
                yield stack.enter_context(open_images(source, limits, image_rate))
    except MemoryError as error:
        raise DecodeError(
            f"{source.name}: takes more than {limits.max_memory} MB of memory; scale it down, "
            "transcode it or raise max_memory",
            "takes too much memory",
        ) from error


@contextmanager
def _open_video(source: Source, limits: Limits) -> Iterator[Footage]:
    bounds = Bounds(source.name, limits)
    filesystem, path = storage.file_system(source.uri)
    with ExitStack() as stack:
        try:
            if filesystem.size(path) == 0:
                raise DecodeError.at(source.name, "the file is empty")
            file = stack.enter_context(filesystem.open(path, "rb"))
            # FFmpeg decodes a frame or two on opening: the bound must hold from there on.
            options = {
                "format_whitelist": FORMATS, "codec_whitelist": CODECS,
                "protocol_whitelist": "none",  # whatever a container refers to stays closed
                "max_pixels": str(limits.max_pixels),
            }  # fmt: skip
            container = stack.enter_context(
                av.open(file, "r", options=options, metadata_errors="replace")
            )
        except MemoryError:
            raise
        except (av.FFmpegError, OSError) as error:
            raise DecodeError.at(
                source.name, "not a readable video", f" ({short(error)})"
            ) from error
        if not container.streams.video:
            raise DecodeError.at(source.name, "has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DecodeError.at(source.name, "its codec is not known here", REMEDY)
        if (codec := stream.codec_context.codec.name) not in CODECS.split(","):
            raise DecodeError.at(source.name, "its codec is not decoded here", f": {codec}{REMEDY}")
        if not stream.width:
            raise DecodeError(
                f"{source.name}: its frames are of more than {limits.max_pixels} pixels, or "
                "damaged; scale it down or raise max_pixels",
                TOO_LARGE,
            )
        # One thread: Ray gives a task one core, and runs as many tasks as there are cores.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {
            "err_detect": DETECTION,
            "codec_whitelist": CODECS,
            "max_pixels": str(limits.max_pixels),  # the stream may declare more than its container
        }
        counts: Counter[str] = Counter()
        decoder = _decoded(container, stream, bounds, counts)
        first = next(decoder, None)
        if first is None:
            raise DecodeError.at(source.name, "no frame could be decoded")
        height, width = first.shape[:2]
        frames = giving_back(chain([first], decoder))
        rate = stream.average_rate or stream.guessed_rate or IMAGE_RATE
        yield Footage(source.name, Fraction(rate), width, height, lambda: frames, counts=counts)


def _decoded(
    container: InputContainer, stream: VideoStream, bounds: Bounds, counts: Counter[str]
) -> Iterator[Frame]:
    """Streams the frames of `stream` upright, and raises where its data ends or breaks early."""
    bounds.check_size(stream.width, stream.height)
    bounds.check_length(promised_seconds(container, stream) or 0.0)
    tally = Tally()
    convert = VideoReformatter()  # a frame's own would be set up anew for each of them
    try:
        for frame in _progressive(_sound(container, stream, bounds, tally), counts):
            image = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
            image = image.astype(np.uint8, copy=False)
            yield np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
    except MemoryError:
        raise
    except (av.FFmpegError, OSError) as error:
        after = f" after frame {tally.frames} ({short(error)})"
        if isinstance(error, av.FFmpegError):
            raise DecodeError.at(bounds.name, "damaged", after) from error
        raise DecodeError.at(bounds.name, "not readable to its end", f",{after}") from error
    check_whole(container, stream, bounds.name, tally)


def _sound(
    container: InputContainer, stream: VideoStream, bounds: Bounds, tally: Tally
) -> Iterator[av.VideoFrame]:
    """Streams the frames up to the first broken or concealed one; those behind it are decoded
    only to count them, for the error that is then raised."""
    first: tuple[int, int, int] | None = None
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    for packet in container.demux(stream):
        bounds.check_time()
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            tally.broken += 1
            continue
        for frame in frames:
            bounds.check_size(frame.width, frame.height)
            tally.broken += frame.is_corrupt
            if frame.time is not None:
                shown = float(frame.duration * (frame.time_base or 0))
                tally.step = max(tally.step, shown, frame.time - tally.end if tally.frames else 0)
                tally.end = frame.time
            bounds.check_length(tally.end - start)
            if tally.broken:
                continue
            shape = frame.width, frame.height, frame.rotation
            first = first or shape
            if shape != first:
                raise DecodeError(
                    f"{bounds.name}: frame {tally.frames} is {_shown(*shape)}, not "
                    f"{_shown(*first)} as those before it",
                    DIFFERING,
                )
            tally.frames += 1
            yield frame
    if tally.broken:
        raise DecodeError.at(
            bounds.name, "damaged",
            f" after frame {tally.frames}: broken or concealed by the decoder: {tally.broken}; "
            "get a sound copy",
        )  # fmt: skip


def _progressive(frames: Iterator[av.VideoFrame], counts: Counter[str]) -> Iterator[av.VideoFrame]:
    """Passes frames on, one for one; from the first interlaced one on through FFmpeg's bwdif,
    which rebuilds the lines of the later field and leaves progressive frames as they are."""
    graph: av.filter.Graph | None = None
    for frame in frames:
        if frame.interlaced_frame:
            counts["deinterlaced frames"] += 1
        if graph is None and frame.interlaced_frame:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format,
                time_base=frame.time_base,
            )  # fmt: skip
            bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        if graph is None:
            yield frame
            continue
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame


def _is_text(name: str) -> bool:
    """Whether a name can be stored; Linux allows any bytes, which Python keeps as surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _shown(width: int, height: int, rotation: int) -> str:
    return f"{width}×{height}" + (f" turned by {rotation}°" if rotation else "")
