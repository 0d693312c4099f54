"""Finds what to read under a folder or an `s3://` prefix: video files and folders of images.

Credentials and endpoints come from the environment alone (`AWS_*`), through fsspec.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import fsspec

VIDEO_EXTENSIONS = frozenset(["mp4", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "wmv"])
IMAGE_EXTENSIONS = frozenset(["jpg", "jpeg", "png", "bmp", "webp", "pgm"])


class SourceError(ValueError):
    """The root of the sources does not exist or holds nothing that can be read."""


@dataclass(frozen=True)
class Source:
    """One input: `uri` to open, `name` (path under the root, "/" between the parts), the
    `identity` (name of the parent folder) and the `kind` of thing that it is."""

    uri: str
    name: str
    identity: str
    kind: Literal["video", "images"]


def find_sources(root: str) -> list[Source]:
    """Lists the videos and the folders of images under `root`, sorted by name.

    `root` is a local folder or an fsspec URI (`s3://bucket/prefix`). A folder that holds images
    is one source of kind "images". Hidden files and folders (a leading dot) are skipped.
    Raises `SourceError`, with the remedy, when `root` does not exist or holds nothing usable.
    """
    filesystem, base = fsspec.core.url_to_fs(root)
    base = base.rstrip("/") or "/"
    if not filesystem.exists(base):
        raise SourceError(
            f"{root}: no such folder; give the folder or s3:// prefix that holds one folder of "
            "videos a person"
        )
    if not filesystem.isdir(base):
        raise SourceError(f"{root}: is a file, not a folder; give the folder that holds it")
    files = [_relative(path, base) for path in filesystem.find(base)]
    files = [name for name in files if name and not _hidden(name)]

    names: dict[str, Literal["video", "images"]] = {}
    for name in files:
        if _extension(name) in VIDEO_EXTENSIONS:
            names[name] = "video"
        elif _extension(name) in IMAGE_EXTENSIONS:
            names[str(PurePosixPath(name).parent)] = "images"
    if not names:
        raise SourceError(
            f"{root}: holds {_seen(files)}, but no video ({' '.join(sorted(VIDEO_EXTENSIONS))}) "
            f"and no image ({' '.join(sorted(IMAGE_EXTENSIONS))}); give another folder or prefix"
        )
    uri = filesystem.unstrip_protocol(base).rstrip("/")
    return [_source(uri, name, names[name]) for name in sorted(names)]


def locate(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Splits the `uri` of a source into its file system and the path there.

    fsspec's own function would take a name that holds "::" for a chain of file systems.
    """
    protocol, _, path = uri.partition("://")
    return fsspec.filesystem(protocol), path


def is_image(path: str) -> bool:
    """Says whether `path` is named like an image that a source of kind "images" may hold."""
    return _extension(path) in IMAGE_EXTENSIONS and not _hidden(PurePosixPath(path).name)


def _source(root: str, name: str, kind: Literal["video", "images"]) -> Source:
    base = PurePosixPath(root)
    if name == ".":  # the root itself holds the images
        return Source(root, base.name, base.parent.name, kind)
    return Source(f"{root}/{name}", name, PurePosixPath(name).parent.name or base.name, kind)


def _relative(path: str, base: str) -> str:
    return path[len(base) :].lstrip("/")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix[1:].lower()


def _seen(files: Iterable[str]) -> str:
    kinds = Counter(_extension(name) or "no extension" for name in files)
    if not kinds:
        return "no file"
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
