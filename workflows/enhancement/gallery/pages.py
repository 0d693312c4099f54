"""Writes the gallery of a restored collection: one page that opens from disk, and its data.

The data lie in scripts, since a page from disk may fetch nothing, and in chunks, so that no more
than one is in memory. All text of films stays data: scripts hold JSON without `<` and without
anything beyond ASCII, the page sets it as text, and paths are encoded as addresses here.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from infra import storage
from infra.text import as_utf8

FOLDER = "gallery"
CHUNK = 2000  # tracks a file of data: 200 kB
PARTS = Path(__file__).parent
PAGE, DATA = "index.html", re.compile(r"data_\d+\.js")
STYLE, SCRIPTS = "gallery.css", ("tracks.js", "address.js", "cards.js", "player.js")
TEXTS = ("video", "identity", "input", "variant")
FILES = ("picture", "plays", "film")
DIGITS = {"track": 0, "frames": 0, "start": 3, "seconds": 3, "side": 2, "resized": 3, "scale": 0,
          "sharpness": 2, "consistency": 2}  # fmt: skip


def write_gallery(
    folder: str, tracks: Iterable[Mapping[str, Any]], about: Mapping[str, object]
) -> str:
    """Write `gallery/index.html` and what it needs below the URI `folder`; returns the page's URI.

    A track has TEXTS (`input` native or degraded); numbers: `start` and `seconds` [s], `side` of
    the face [source px], `resized` [input pixels a source pixel], `consistency` [dB], and the
    others of DIGITS, where NaN stands for what nobody measured; and FILES, paths below `folder`
    or "": its picture, the mp4 that is played, the film with all restored faces. `about` is shown
    as it is, a line an entry.

    An older page is removed first, and the new one written last, so that a page is there whole or
    not at all. Raises ValueError for a path that leads out of `folder`.
    """
    root = storage.join(folder, FOLDER)
    _clear(root)
    data, count = [], 0
    for number, chunk in enumerate(_chunks(tracks)):
        data.append(f"data_{number:03d}.js")
        count += len(chunk)
        storage.write_bytes(storage.join(root, data[-1]), as_script(chunk))
    for name in (STYLE, *SCRIPTS):
        storage.write_bytes(storage.join(root, name), (PARTS / name).read_bytes())
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((PARTS / "index.html.j2").read_text(encoding="utf-8"))
    lines = {name: as_utf8(str(value)) for name, value in about.items()}
    # The first script makes what the data are given to.
    scripts = [SCRIPTS[0], *data, *SCRIPTS[1:]]
    page = template.render(about=lines, count=count, scripts=scripts, style=STYLE)
    uri = storage.join(root, PAGE)
    storage.write_bytes(uri, page.encode())
    return uri


def _clear(root: str) -> None:
    """Remove an older page, then its data, and nothing else: a source may be called as the gallery
    is, and then its results lie below."""
    data = [name for name in storage.sizes(root) if DATA.fullmatch(name)]
    for name in (PAGE, *data):
        storage.remove(storage.join(root, name))


def _chunks(tracks: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(tracks)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def as_script(tracks: Iterable[Mapping[str, Any]]) -> bytes:
    """The tracks as a script that hands them to `gallery.add` of tracks.js, in ASCII.

    Texts are places in a list of the words of this chunk, and addresses of files are pairs of
    them, folder and name, since most repeat.
    """
    words: dict[str, int] = {}
    rows = [
        [_word(words, as_utf8(track[name])) for name in TEXTS]
        + [_rounded(track[name], digits) for name, digits in DIGITS.items()]
        + [[_word(words, part) for part in _address(track[name])] for name in FILES]
        for track in tracks
    ]
    columns = {"texts": TEXTS, "numbers": list(DIGITS), "files": FILES}
    content = {**columns, "words": list(words), "tracks": rows}
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"gallery.add({text});\n".encode("ascii")


def _word(words: dict[str, int], word: str) -> int:
    return words.setdefault(word, len(words))


def _rounded(value: float, digits: int) -> float | int | None:
    """A number as JSON has it; None for one that is not finite."""
    if not math.isfinite(value):
        return None
    return round(float(value), digits) if digits else int(value)


def _address(path: str) -> list[str]:
    """Folder and name of a file as parts of a URL, relative to the gallery; [] for no file."""
    if not path:
        return []
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(
            f"{path!r}: a file of the gallery must be given as a path below its folder"
        )
    *folders, name = (quote(part, safe="", errors="surrogateescape") for part in parts)
    return ["/".join(["..", *folders, ""]), name]
