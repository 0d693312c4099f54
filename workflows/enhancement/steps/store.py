"""Restored spans of a film that has several, kept until all are there: beside what will be made of
them, so that a command that is killed has lost a span and no film."""

import io
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from infra import storage
from infra.errors import InputError
from workflows.enhancement.spans import Span, TrackPart

FOLDER = ".spans"
PLAIN = ("track", "first", "begins", "ends", "native", "break_before")


def folder_of(film: str, fingerprint: str) -> str:
    """Where the spans of a film lie whose results go to the folder `film`."""
    return storage.join(film, f"{FOLDER}-{fingerprint}")


def keep(folder: str, span: Span) -> None:
    """Write a span whose parts are restored."""
    content: dict[str, NDArray[np.generic]] = {
        "span": np.array([span.number, span.first, span.frames, len(span.parts)])
    }
    for index, part in enumerate(span.parts):
        for field in fields(part):
            value = np.asarray(getattr(part, field.name))
            if field.name == "restored":
                value = np.frombuffer(_encoded(value), np.uint8)
            content[f"{index} {field.name}"] = value
    stream = io.BytesIO()
    np.savez(stream, **content)  # type: ignore[arg-type]
    storage.write_bytes(storage.join(folder, f"{span.number:06d}.npz"), stream.getvalue())


def number(name: str) -> int:
    """The number of the span in a file of this name."""
    return int(name.removesuffix(".npz"))


def read(folder: str, count: int) -> Iterator[Span]:
    """The spans 0 to `count` - 1, one after another. Raises InputError where one does not begin
    where that before it ended: the film was cut otherwise when that was kept."""
    end = 0
    for number in range(count):
        content = storage.read_bytes(storage.join(folder, f"{number:06d}.npz"))
        with np.load(io.BytesIO(content)) as arrays:
            own, first, frames, parts = arrays["span"].tolist()
            found = [_part(arrays, index) for index in range(parts)]
        if (own, first) != (number, end):
            raise InputError.at(
                folder, "spans that do not fit together",
                f": {number} begins at frame {first}, not {end}; give the same command again with "
                "--retry-errors"
            )  # fmt: skip
        end += frames
        yield Span(own, first, frames, found)


def _part(arrays: "np.lib.npyio.NpzFile", index: int) -> TrackPart:
    values: dict[str, Any] = {
        field.name: arrays[f"{index} {field.name}"] for field in fields(TrackPart)
    }
    for name in PLAIN:
        values[name] = values[name].item()
    part = TrackPart(**values)
    return replace(part, restored=_decoded(part.restored.tobytes()))


def _encoded(frames: NDArray[np.uint8]) -> bytes:
    """N×S×S×3 uint8 without loss: 11 KB a frame of 128×128, where zstd needs 45 and x264 23."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        film = container.add_stream("ffv1", rate=25, options={"threads": "1"})
        film.pix_fmt, film.height, film.width = "bgr0", *frames.shape[1:3]
        for picture in frames:
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(film.encode(None))
    return stream.getvalue()


def _decoded(content: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(content), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8, copy=False)
