"""Finds what to read under a folder or an `s3://` prefix, in one of the layouts of `layouts`.

Credentials and endpoints come from the environment alone (`AWS_*`), through fsspec.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import fsspec

from datasets.sources.layouts import (
    IMAGE_EXTENSIONS,
    LAYOUTS,
    VIDEO_EXTENSIONS,
    Files,
    Source,
    beside_films,
    extension,
    recognise,
    without_folder,
)
from datasets.sources.left_out import NAMELESS, STILLS, LeftOut
from datasets.sources.listing import animated, in_storage, on_disk, stamp_of, without_typescript
from infra import storage
from infra.errors import InputError

KINDS = {
    "video": "videos", "images": "folders of frames", "crops": "folders of crops",
    "image": "stills",
}  # fmt: skip


class SourceError(InputError):
    """The root of the sources does not exist or holds nothing that can be read."""


@dataclass(frozen=True)
class Collection:
    """The `sources` under a root, sorted by name, and what was `seen`, in words."""

    sources: list[Source]
    seen: str


def find_sources(root: str, layout: str = "auto") -> list[Source]:
    """Lists the sources of `survey`."""
    return survey(root, layout).sources


def survey(root: str, layout: str = "auto", alone: bool = False) -> Collection:
    """Finds the sources under `root` by the reader of `layout`; `auto` takes what it recognises.
    A single file is refused as a root, unless it may be `alone`.

    `root` is a local folder or an fsspec URI (`s3://bucket/prefix`). What `listing` leaves out is
    named in `seen`, and so are the stills beside films, which `auto` does not take for films.
    Raises `SourceError`, with the remedy, when `root` does not exist or holds nothing of that
    layout.
    """
    files, left = _list_files(root, alone)
    if layout in ("auto", "videos"):  # else an animated image is an image
        files = replace(files, animated=animated(*_place(files.uri), files.names))
    if layout == "auto":
        stills = beside_films(files)
        left.add(STILLS, *stills)
        files = files.without(stills)
    chosen = recognise(files) if layout == "auto" else [layout]
    if "lfw" not in chosen:
        left.add(NAMELESS, *without_folder(files))
    sources = [source for name in chosen for source in LAYOUTS[name](files)]
    also = f"; left out: {left.told()}" if left.told() else ""
    if not sources:
        holds = f"{_kinds_of(files.names)}, but" if files.names or also else "no file:"
        raise SourceError(
            f"{root}: holds {holds} {_wanted(layout)}{also}; give another "
            "folder or prefix" + (", or preprocess.layout auto" if layout != "auto" else "")
        )
    people = len({source.identity for source in sources})
    counts = Counter(KINDS[source.kind] for source in sources)
    found = " and ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    seen = (
        f"layout {layout}: {_kinds_of(files.names)}, read as {' and '.join(chosen)}: "
        f"{found} of {people} {'person' if people == 1 else 'people'}{also}"
    )
    return Collection(sorted(files.stamped(sources), key=lambda source: source.name), seen)


def _list_files(root: str, alone: bool) -> tuple[Files, LeftOut]:
    filesystem, base = _place(root)
    if not filesystem.exists(base):
        if alone:
            raise SourceError(
                f"{root}: no such file or folder; give a film, or a folder or s3:// prefix of films"
            )
        raise SourceError(
            f"{root}: no such folder; give the folder or s3:// prefix that holds one folder of "
            "videos a person"
        )
    if alone and filesystem.isfile(base):
        folder, _, name = filesystem.unstrip_protocol(base).rpartition("/")
        return Files(folder, (name,), {name: stamp_of(filesystem.info(base))}), LeftOut()
    if not filesystem.isdir(base):
        raise SourceError(f"{root}: is a file, not a folder; give the folder that holds it")
    left = LeftOut()
    local = storage.is_local(root)
    found = on_disk(base, left) if local else in_storage(filesystem, base, left)
    found = without_typescript(filesystem, base, found, left)
    return Files(filesystem.unstrip_protocol(base).rstrip("/"), tuple(sorted(found)), found), left


def _place(root: str) -> tuple[fsspec.AbstractFileSystem, str]:
    filesystem, base = storage.file_system(root)
    return filesystem, base.rstrip("/") or "/"


def _wanted(layout: str) -> str:
    """What a layout would have needed."""
    videos = f"no video ({' '.join(sorted(VIDEO_EXTENSIONS))})"
    images = f"no image ({' '.join(sorted(IMAGE_EXTENSIONS))})"
    return {
        "auto": f"{videos} and {images}",
        "videos": videos,
        "ytf": "no aligned_images_DB/<person>/<video>/*.jpg and no frame_images_DB like it",
    }.get(layout, images)


def _kinds_of(names: Iterable[str]) -> str:
    kinds = Counter(extension(name) or "no extension" for name in names)
    if not kinds:
        return "no file"
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
