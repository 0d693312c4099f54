"""The layouts of collections: what is a source, who is in it. One reader a layout.

A reader takes the files below a root and gives the sources among them. `recognise` says which
readers fit what is there.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from statistics import median
from typing import Literal

from infra.text import digest

VIDEO_EXTENSIONS = frozenset([
    "mp4", "m4v", "mov", "3gp", "avi", "mkv", "webm", "mpg", "mpeg", "ts", "mts", "m2ts", "wmv",
    "flv", "ogv", "vob", "mxf", "dv", "asf", "f4v", "3g2", "divx", "gif",
])  # fmt: skip
IMAGE_EXTENSIONS = frozenset(["jpg", "jpeg", "png", "bmp", "webp", "pgm"])
ALIGNED, WHOLE = "aligned_images_DB", "frame_images_DB"  # the two folders of YouTube Faces
# What a media centre puts beside films, by the end of an image's name or that of its folder.
ART = (
    "poster|cover|fan ?art|extra ?fan ?art|thumb|extra ?thumb|thumbnail|banner|backdrop|artwork|"
    "key ?art|clear ?art|clear ?logo|preview|screenshot"
)
COVER = re.compile(rf"(.*[^a-z])?({ART}|folder|landscape|disc|logo|album ?art)[-_ ]?\d*", re.I)
COVERS = re.compile(rf"(.*[^a-z])?({ART})s?", re.I)
FILM_FRAMES = 10  # a folder of as many images is a film rather than a person's photographs
LFW_SHARE = 0.95  # of the images have LFW's names; a stray one beside them changes nothing

Kind = Literal["video", "images", "crops", "image"]


@dataclass(frozen=True)
class Source:
    """One input: `uri` to open, `name` (path under the root, "/" between the parts), the
    `identity` (name of the parent folder), the `kind` of thing that it is (a video file, a folder
    of frames of one size, a folder of crops that may differ in size, a still), and where the faces
    are known the `labels`, the URI that tells them. Its `stamp` changes when one of its files is
    replaced: a hash of their sizes and ETags or times."""

    uri: str
    name: str
    identity: str
    kind: Kind
    labels: str = ""
    stamp: str = ""


@dataclass(frozen=True)
class Files:
    """The files below a root that are not hidden: the root's `uri`, their paths from there, of
    each what tells it from one that takes its place, and the `animated` ones, which are films
    though they are named as images."""

    uri: str
    names: tuple[str, ...]
    stamps: Mapping[str, str] = field(default_factory=dict)
    animated: frozenset[str] = frozenset()

    def is_video(self, name: str) -> bool:
        """Whether a file is a film."""
        return is_video(name) or name in self.animated

    def is_image(self, name: str) -> bool:
        """Whether a file is a frame or a still."""
        return is_image(name) and name not in self.animated

    def without(self, names: Iterable[str]) -> "Files":
        """All files but those."""
        gone = set(names)
        return replace(self, names=tuple(name for name in self.names if name not in gone))

    def stamped(self, sources: list[Source]) -> list[Source]:
        """The sources, each with its stamp."""
        folders = _by_folder(self)

        def stamp(source: Source) -> str:
            place = source.uri.removeprefix(self.uri).removeprefix("/") or "."
            alone = source.kind in ("video", "image")
            names = [place] if alone else sorted(folders.get(place, []))
            if source.labels:
                names.append(source.labels.removeprefix(self.uri).strip("/"))
            told = (text for name in names for text in (name, self.stamps.get(name, "")))
            return digest(*told).hex()[:16]

        return [replace(source, stamp=stamp(source)) for source in sources]

    def source(self, name: str, kind: Kind, labels: str = "") -> Source:
        """The source at the path `name`; "." is the root itself, which keeps that name where
        something within it has the root's. A folder's name ends in "/" where it is also that of an
        object, as object storage allows."""
        root = PurePosixPath(self.uri)
        if name == ".":
            taken = any(f"{path}/".startswith(f"{root.name}/") for path in self.names)
            return Source(self.uri, "." if taken else root.name, root.parent.name, kind, labels)
        identity = PurePosixPath(name).parent.name or root.name
        twice = kind in ("images", "crops") and name in self.stamps
        return Source(f"{self.uri}/{name}", name + "/" * twice, identity, kind, labels)


def videos(files: Files) -> list[Source]:
    """Every video file; its folder is the person."""
    return [files.source(name, "video") for name in files.names if files.is_video(name)]


def frames(files: Files) -> list[Source]:
    """Every folder that holds images, as the frames of one film; its folder is the person."""
    return [files.source(folder, "images") for folder in _by_folder(files)]


def ytf(files: Files) -> list[Source]:
    """YouTube Faces as distributed: `aligned_images_DB/<person>/<video>/*.jpg`, or, without such
    a folder, `frame_images_DB` with the boxes of its `<person>.labeled_faces.txt`.

    The root holds one of these folders or is one.
    """
    found = {ALIGNED: set[PurePosixPath](), WHOLE: set[PurePosixPath]()}
    for name in files.names:
        if (database := _ytf_database(files, name)) and _is_listed(files, name):
            found[database].add(PurePosixPath(name).parent)
    if found[ALIGNED]:
        return [files.source(str(folder), "crops") for folder in found[ALIGNED]]
    return [
        files.source(str(folder), "images", f"{files.uri}/{folder.parent}.labeled_faces.txt")
        for folder in found[WHOLE]
    ]


def lfw(files: Files) -> list[Source]:
    """Labeled Faces in the Wild as distributed, or any folder of photographs a person: every image
    is a still of its own."""
    return [files.source(name, "image") for name in files.names if files.is_image(name)]


LAYOUTS: dict[str, Callable[[Files], list[Source]]] = {
    "videos": videos, "frames": frames, "ytf": ytf, "lfw": lfw,
}  # fmt: skip


def recognise(files: Files) -> list[str]:
    """Names the layouts of what is there: `ytf`, or `lfw`, or `videos` and `frames`, or none.

    LFW is told from frames by its names, `<name>/<name>_NNNN`, which nearly all of its images have,
    and by having few images a person.
    """
    if ytf(files):
        return ["ytf"]
    images = [PurePosixPath(name) for name in files.names if files.is_image(name)]
    films = [name for name in files.names if files.is_video(name)]
    if images and not films and sum(map(_is_lfw_name, images)) >= LFW_SHARE * len(images):
        usual = median(Counter(path.parent for path in images).values())
        return ["lfw"] if usual < FILM_FRAMES else ["frames"]
    return ["videos"] * bool(films) + ["frames"] * bool(images)


def beside_films(files: Files) -> list[str]:
    """The images that are no frames of a film, where there are films: those in a folder with a
    film, and those of a folder that holds a few only, each of them cover art by its name, by that
    of the folder, or named as a film beside the folder is."""
    films = {PurePosixPath(name).with_suffix("") for name in files.names if files.is_video(name)}
    folders = {str(film.parent) for film in films}

    def is_cover(name: str) -> bool:
        path = PurePosixPath(name)
        named = COVER.fullmatch(path.stem) or COVERS.fullmatch(path.parent.name)
        return named is not None or path.parent.parent / path.stem in films

    return [
        name
        for folder, images in _by_folder(files).items()
        for name in images
        if folder in folders or (films and len(images) < FILM_FRAMES and all(map(is_cover, images)))
    ]


def without_folder(files: Files) -> list[str]:
    """The images, keys of object storage, in a folder without a name: that cannot be listed by
    itself."""
    return [name for name in files.names if files.is_image(name) and _nameless(name)]


def is_video(path: str) -> bool:
    """Says whether `path` is named like a video."""
    return extension(path) in VIDEO_EXTENSIONS


def is_image(path: str) -> bool:
    """Says whether `path` is named like an image that is a frame or a still."""
    return extension(path) in IMAGE_EXTENSIONS and not PurePosixPath(path).name.startswith(".")


def extension(path: str) -> str:
    """The ending of a file's name, in small letters and without its dot."""
    return PurePosixPath(path).suffix[1:].lower()


def _by_folder(files: Files) -> dict[str, list[str]]:
    """The images of every folder that has a name, in order."""
    folders: dict[str, list[str]] = {}
    for name in sorted(files.names):
        if _is_listed(files, name):
            folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
    return folders


def _is_listed(files: Files, name: str) -> bool:
    """Whether a file is an image in a folder that can be listed."""
    return files.is_image(name) and not _nameless(name)


def _nameless(path: str) -> bool:
    return path.startswith("/") or "//" in path


def _ytf_database(files: Files, name: str) -> str | None:
    """The folder of YouTube Faces that a file `<folder>/<person>/<video>/<file>` is in."""
    parts = (PurePosixPath(files.uri).name, *name.split("/"))[-4:]
    return parts[0] if len(parts) == 4 and parts[0] in (ALIGNED, WHOLE) else None


def _is_lfw_name(path: PurePosixPath) -> bool:
    return re.fullmatch(re.escape(path.parent.name) + r"_\d{4}", path.stem) is not None
