"""What lies below a root, on a disk or in object storage: every file once, under its own name.

Hidden files, folders of a NAS or of an operating system, links that lead back, and `.ts` that is
TypeScript and no transport stream are left out. WebP that is animated is told from stills.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import fsspec

from datasets.sources.layouts import FILM_FRAMES, IMAGE_EXTENSIONS, extension, is_video
from datasets.sources.left_out import BACK, BROKEN, CLOSED, HIDDEN, NAS, TYPESCRIPT, LeftOut
from infra import storage

SYSTEM = frozenset([
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "#recycle", "#snapshot",
    ".@__thumb", "$recycle.bin", "recycler", "system volume information", "__macosx", "lost+found",
    "network trash folder", "temporary items",
])  # fmt: skip
SYNC, PITCHES, PACKETS = 0x47, (188, 192, 204), 5  # of MPEG-TS: its first byte, bytes a packet
LOOKED_AT = 4096  # bytes at the start of a file that is named .ts
WEBP_HEAD, ANIMATED = 21, 0x02  # bytes, of which the last has a flag for what is animated
AT_ONCE = 32  # files
Stamps = dict[str, str]  # by path: what tells a file from one that takes its place


def in_storage(filesystem: fsspec.AbstractFileSystem, base: str, left: LeftOut) -> Stamps:
    """The objects below a prefix; two keys that differ in a "//" are two of them. An object whose
    key ends in "/" stands for a folder and is none."""
    found: Stamps = {}
    for path, info in filesystem.find(base, detail=True).items():
        name = path.removeprefix(base).removeprefix("/")
        if not name or name.endswith("/") or _is_apart(name, left):
            continue
        found[name] = stamp_of(info)
    # What it remembers takes an object for a folder where another key goes on behind a "/".
    filesystem.invalidate_cache()
    return found


def stamp_of(info: Mapping[str, Any]) -> str:
    """What tells a file from one that takes its place, of what its file system says of it."""
    when = info.get("ETag") or info.get("mtime") or info.get("LastModified")
    return f"{info.get('size')} {when}"


def on_disk(base: str, left: LeftOut) -> Stamps:
    """The files below a local folder. Links to folders are followed, after all that lies there
    without one, so that each folder is read once and under its own name; none is to a folder that
    holds `base`. A film that is linked to is there once as well.

    Raises OSError where `base` itself cannot be listed.
    """
    return _Walk(base, left).files()


@dataclass
class _Walk:
    """A walk through folders; `entered` holds the real paths of those that were read."""

    base: str
    left: LeftOut
    entered: set[str] = field(default_factory=set)
    folders: list[tuple[str, str]] = field(default_factory=list)  # name, real path
    links: list[tuple[str, str]] = field(default_factory=list)  # to folders: a heap, by name
    linked: list[tuple[str, str]] = field(default_factory=list)  # films: name, real path
    found: dict[str, str] = field(default_factory=dict)
    films: set[str] = field(default_factory=set)  # real paths

    def files(self) -> Stamps:
        root = os.path.realpath(self.base)
        self.folders.append(("", root))
        while self.folders or self.links:
            if self.folders:
                self._read(*self.folders.pop())
                continue
            name, real = heappop(self.links)
            if real in self.entered or f"{root}/".startswith(f"{real.rstrip('/')}/"):
                self.left.add(BACK, name)
            else:
                self.folders.append((name, real))
        for name, real in sorted(self.linked):
            if real in self.films:
                self.left.add(BACK, name)
            else:
                self.films.add(real)
                self.found[name] = _stamp(real)
        return self.found

    def _read(self, folder: str, real: str) -> None:
        """Take the files of a folder, and note its folders and links for later."""
        self.entered.add(real)
        try:
            with os.scandir(real) as entries:
                for entry in entries:
                    self._take(entry, f"{folder}/{entry.name}" if folder else entry.name)
        except OSError:
            if not folder:
                raise
            self.left.add(CLOSED, folder)

    def _take(self, entry: "os.DirEntry[str]", name: str) -> None:
        folder = _is_folder(entry)
        if _is_apart(name, self.left, folder):
            return
        if folder:
            if entry.is_symlink():
                heappush(self.links, (name, os.path.realpath(entry.path)))
            elif entry.path not in self.entered:
                self.folders.append((name, entry.path))
        elif not entry.is_symlink():
            self.films.add(entry.path)
            self.found[name] = _stamp(entry.path)
        elif is_video(name):
            self.linked.append((name, os.path.realpath(entry.path)))
        elif os.path.exists(entry.path):
            self.found[name] = _stamp(entry.path)
        else:
            self.left.add(BROKEN, name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in itself
        return False


def _stamp(path: str) -> str:
    """The size of a file and when it was last written; what cannot be looked at is seen when it
    is opened, which says why."""
    try:
        info = os.stat(path)
    except OSError:
        return ""
    return f"{info.st_size} {info.st_mtime}"


def _is_apart(name: str, left: LeftOut, folder: bool = False) -> bool:
    """Whether the path of a file, or of a `folder`, is hidden or of the system. Its first such part
    is noted then, unless it is a file that could be no source anyway.

    A key of object storage may have a part "..": it is seen, so that opening it says why not.
    """
    parts = name.split("/")
    for number, part in enumerate(parts, 1):
        system = part.lower() in SYSTEM
        if system or (part.startswith(".") and part != ".."):
            could_be = is_video(part) or extension(part) in IMAGE_EXTENSIONS
            if system or folder or number < len(parts) or could_be:
                left.add(NAS if system else HIDDEN, "/".join(parts[:number]))
            return True
    return False


def without_typescript(
    filesystem: fsspec.AbstractFileSystem, base: str, found: Stamps, left: LeftOut
) -> Stamps:
    """The files without those named .ts that hold something and are no transport stream.

    Of each of these the start is read, and of no other file.
    """
    looked_at = [name for name in found if extension(name) == "ts"]

    def is_other(head: bytes) -> bool:
        return bool(head) and not is_transport_stream(head)

    others = _begun(filesystem, base, looked_at, LOOKED_AT, is_other)
    left.add(TYPESCRIPT, *others)
    return {name: stamp for name, stamp in found.items() if name not in others}


def animated(
    filesystem: fsspec.AbstractFileSystem, base: str, names: Iterable[str]
) -> frozenset[str]:
    """The .webp among the files that are animated, where a folder holds fewer than `FILM_FRAMES`
    .webp: of each of these WEBP_HEAD bytes are read. As many as a film has are its frames, into
    which to look would take too long."""
    found = [name for name in names if extension(name) == "webp"]
    many = Counter(name.rpartition("/")[0] for name in found)
    few = [name for name in found if many[name.rpartition("/")[0]] < FILM_FRAMES]
    return frozenset(_begun(filesystem, base, few, WEBP_HEAD, is_animated_webp))


def _begun(
    filesystem: fsspec.AbstractFileSystem,
    base: str,
    names: list[str],
    size: int,
    fits: Callable[[bytes], bool],
) -> set[str]:
    """The files whose first `size` bytes are such that `fits` says so."""

    def is_one(name: str) -> bool:
        return fits(_start(filesystem, f"{base.rstrip('/')}/{name}", size))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(is_one, names))
    return {name for name, answer in zip(names, answers, strict=True) if answer}


def _start(filesystem: fsspec.AbstractFileSystem, path: str, size: int) -> bytes:
    """The first bytes of a file; of one that cannot be read none: opening it will say why."""
    try:
        if not storage.is_plain(filesystem, path):
            return b""
        return bytes(filesystem.cat_file(path, start=0, end=size))
    except OSError:
        return b""


def is_transport_stream(head: bytes) -> bool:
    """Whether the start of a file is MPEG-TS: a sync byte begins each of PACKETS packets in a row,
    which need not be the first, of 188 bytes, or 192 or 204 with what some recorders add.

    No text is one, though its lines be alike and 204 bytes hold a number of them.
    """
    marks = {place for place, byte in enumerate(head) if byte == SYNC}
    return b"\0" in head and any(
        all(mark + number * pitch in marks for number in range(1, PACKETS))
        for pitch in PITCHES
        for mark in marks
    )


def is_animated_webp(head: bytes) -> bool:
    """Whether the start of a file is that of an animated WebP: its extended header says so."""
    webp = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return webp and len(head) >= WEBP_HEAD and bool(head[WEBP_HEAD - 1] & ANIMATED)
