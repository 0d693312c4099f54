"""The gallery's data come back as they were given, and no name of a film can be more than text."""

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest

from infra import storage
from workflows.enhancement.gallery import pages
from workflows.enhancement.gallery.pages import as_script, write_gallery

NASTY = "a b/</script><script>said=1</script>/'\"&amp;#1?x=%41\\ ü\u2028\u202e.mp4"


def track(**changes: Any) -> dict[str, Any]:
    return {
        "video": "a/v.mp4", "identity": "a", "input": "native", "variant": "f5warp",
        "track": 3, "frames": 50, "start": 1.25, "seconds": 2.0, "side": 14.0, "resized": 1.14,
        "scale": 8, "sharpness": 120.5, "consistency": 31.25,
        "picture": "a/v.mp4/track_003.jpg", "plays": "a/v.mp4/track_003.mp4", "film": "",
    } | changes  # fmt: skip


def read(script: bytes) -> list[dict[str, Any]]:
    """The tracks as tracks.js has them."""
    text = script.decode("ascii")
    content = json.loads(text.removeprefix("gallery.add(").removesuffix(");\n"))
    words, found = content["words"], []
    for row in content["tracks"]:
        values = dict(
            zip([*content["texts"], *content["numbers"], *content["files"]], row, strict=True)
        )
        for name in content["texts"]:
            values[name] = words[values[name]]
        for name in content["files"]:
            values[name] = "".join(words[place] for place in values[name])
        found.append(values)
    return found


def test_tracks_come_back() -> None:
    tracks = [track(), track(video="b.mp4", track=4, plays="", film="b.mp4/film.mp4")]
    found = read(as_script(tracks))
    expected = [
        {name: f"../{value}" if name in pages.FILES and value else value
         for name, value in row.items()}
        for row in tracks
    ]  # fmt: skip
    assert found == expected


def test_what_is_not_finite_is_null() -> None:
    (found,) = read(as_script([track(consistency=math.nan, sharpness=math.inf)]))
    assert (found["consistency"], found["sharpness"]) == (None, None)


def test_nasty_names_are_data() -> None:
    script = as_script([track(video=NASTY, identity=NASTY, picture=NASTY, plays=NASTY)])
    assert b"<" not in script and script.isascii()
    (found,) = read(script)
    assert (found["video"], found["identity"]) == (NASTY, NASTY)


@pytest.mark.parametrize("name", [NASTY, "javascript:alert(1)", "elsewhere.example:80/x",
                                  "a/..b/%2e%2e/c", "\udcff.jpg"])  # fmt: skip
def test_an_address_leads_to_the_file_of_that_name(name: str) -> None:
    (found,) = read(as_script([track(picture=name)]))
    page = "file:///run/enhanced/gallery/index.html"
    whole = urljoin(page, found["picture"])
    assert whole.startswith("file:///run/enhanced/") and not set(whole) & set("#?\"'<\\ ")
    assert unquote(whole, errors="surrogateescape") == f"file:///run/enhanced/{name}"


@pytest.mark.parametrize("path", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "a//x.jpg", "./x"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="below its folder"):
        as_script([track(plays=path)])


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_chunks_are_written_and_an_older_gallery_is_removed(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "enhanced") if where == "disk" else "memory://gallery/enhanced"
    monkeypatch.setattr(pages, "CHUNK", 2)
    write_gallery(folder, (track(track=number) for number in range(5)), {})
    scripts = ["data_000.js", "data_001.js", "data_002.js"]
    contents = [storage.read_bytes(storage.join(folder, "gallery", name)) for name in scripts]
    assert [[row["track"] for row in read(content)] for content in contents] == [
        [0, 1],
        [2, 3],
        [4],
    ]
    page = storage.read_bytes(storage.join(folder, "gallery/index.html")).decode()
    order = ["tracks.js", *scripts, "address.js", "cards.js", "player.js"]
    assert [page.index(f'src="{name}"') for name in order] == sorted(
        page.index(f'src="{name}"') for name in order
    )
    assert 'data-tracks="5"' in page

    storage.write_bytes(storage.join(folder, "gallery/v.mp4/track_000.mp4"), b"of a film")
    write_gallery(folder, [track()], {"made of": "<b>&</b>"})
    assert set(storage.sizes(storage.join(folder, "gallery"))) == {
        "v.mp4/track_000.mp4", "index.html", "gallery.css", "data_000.js",
        "tracks.js", "address.js", "cards.js", "player.js",
    }  # fmt: skip
    page = storage.read_bytes(storage.join(folder, "gallery/index.html")).decode()
    assert "<dd>&lt;b&gt;&amp;&lt;/b&gt;</dd>" in page
