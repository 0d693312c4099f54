"""Every film below a folder once, under its own name; what is left out is counted and named."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from datasets.sources.discovery import SourceError, find_sources, survey
from datasets.sources.layouts import Source
from datasets.sources.left_out import LeftOut
from datasets.sources.listing import is_transport_stream
from infra import storage
from tests.datasets.sources.test_layouts import touch
from tests.support.media import moving_square, write_video
from workflows.enhancement.receipts import safe_name


def names(root: Path | str, layout: str = "auto") -> list[str]:
    return [source.name for source in find_sources(str(root), layout)]


def left_out(root: Path | str, layout: str = "auto") -> str:
    return survey(str(root), layout).seen.partition("; left out: ")[2]


def test_a_linked_folder_is_read_under_the_name_of_its_link(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/deep/v.mp4", "films/b/w.mp4")
    (tmp_path / "films/a").symlink_to(tmp_path / "elsewhere")
    found = find_sources(str(tmp_path / "films"))
    assert [(s.name, s.identity) for s in found] == [("a/deep/v.mp4", "deep"), ("b/w.mp4", "b")]
    filesystem, path = storage.file_system(found[0].uri)
    assert filesystem.cat_file(path) == b"x"
    before = found[0].stamp
    os.utime(tmp_path / "elsewhere/deep/v.mp4", (1, 1))
    assert find_sources(str(tmp_path / "films"))[0].stamp != before


@pytest.mark.parametrize("target", [".", "a", "..", "../..", "a/loop"])
def test_links_that_lead_back_end(target: str, tmp_path: Path) -> None:
    """To the root, to their own folder, above the root, and to themselves."""
    root = tmp_path / "x/films"
    touch(root, "a/v.mp4", "b/w.mp4")
    touch(tmp_path, "x/other/no.mp4")
    (root / "a/loop").symlink_to(root / target)
    assert names(root) == ["a/v.mp4", "b/w.mp4"]
    what = "broken link" if target == "a/loop" else "link to what is read already"
    assert left_out(root) == f"1 {what} (a/loop)"


def test_a_folder_that_is_reached_twice_is_read_once_and_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "films/z/own.mp4", "store/one.mp4", "store/inner/two.mp4")
    for link, target in {"a": "films/z", "b": "store/inner", "c": "store", "d": "store"}.items():
        (tmp_path / "films" / link).symlink_to(tmp_path / target)
    assert names(tmp_path / "films") == ["b/two.mp4", "c/one.mp4", "z/own.mp4"]
    assert left_out(tmp_path / "films") == "2 links to what is read already (a, d)"


def test_a_film_that_is_linked_to_is_there_once(tmp_path: Path) -> None:
    touch(tmp_path, "films/z/own.mp4", "store/one.mp4")
    for link, target in zip("abc", ("films/z/own", "store/one", "store/one"), strict=True):
        (tmp_path / f"films/{link}.mp4").symlink_to(tmp_path / f"{target}.mp4")
    assert names(tmp_path / "films") == ["b.mp4", "z/own.mp4"]
    assert left_out(tmp_path / "films") == "2 links to what is read already (a.mp4, c.mp4)"


def test_broken_links_are_named_and_one_that_is_called_a_film_is_a_source(tmp_path: Path) -> None:
    """Which then ends as an error row, as any film that cannot be read."""
    touch(tmp_path, "a/v.mp4")
    for name in ("a/season 2", "a/lost.mp4"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["a/lost.mp4", "a/v.mp4"]
    assert left_out(tmp_path) == "1 broken link (a/season 2)"


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "real/a/v.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (source,) = find_sources(str(tmp_path / "link"))
    assert (source.name, source.uri) == ("a/v.mp4", f"file://{tmp_path}/link/a/v.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/v.mp4", "b/w.mp4")
    (tmp_path / "b").chmod(0)
    try:
        assert left_out(tmp_path) == "1 folder that may not be read (b)"
    finally:
        (tmp_path / "b").chmod(0o700)


STRAY = [
    "@eaDir/a/v.mp4/SYNOVIDEO.jpg", "a/@eaDir/1.jpg", "#recycle/v.mp4", "$RECYCLE.BIN/v.mp4",
    "System Volume Information/v.mp4", "__MACOSX/a/v.mp4", "lost+found/v.mp4", "a/.@__thumb/v.jpg",
]  # fmt: skip


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder on a disk, or of a file system that takes any key, as object storage does."""
    if request.param == "disk":
        yield str(tmp_path)
        return
    filesystem = fsspec.filesystem("memory")
    yield "memory://listed"
    filesystem.rm("/listed", recursive=True)


def fill(place: str, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        filesystem, path = storage.file_system(f"{place}/{name}")
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, data)


def test_folders_of_a_nas_and_of_systems_are_left_out(place: str) -> None:
    fill(place, dict.fromkeys(["a/v.mp4", "b/eaDir/w.mp4", *STRAY], b"x"))
    assert names(place) == ["a/v.mp4", "b/eaDir/w.mp4"]
    told = "8 folders of the NAS or system (#recycle, $RECYCLE.BIN, @eaDir, …)"
    assert left_out(place) == told


def test_what_is_hidden_is_counted_where_it_could_be_a_source(place: str) -> None:
    hidden = ["a/._v.mp4", ".cache/1.png", ".cache/deep/2.png", "a/.x.jpg"]
    fill(place, dict.fromkeys(["a/v.mp4", "a/.DS_Store", "a/.x.json", *hidden], b"x"))
    assert names(place) == ["a/v.mp4"]
    assert left_out(place) == "3 hidden (.cache, a/._v.mp4, a/.x.jpg)"


def stream(pitch: int, packets: int = 20, before: bytes = b"") -> bytes:
    head = bytes(4) if pitch == 192 else b""
    return before + (head + b"\x47" + bytes(pitch - 1 - len(head))) * packets


@pytest.mark.parametrize("pitch", [188, 192, 204])
def test_a_transport_stream_is_told_by_its_sync_bytes(pitch: int) -> None:
    assert is_transport_stream(stream(pitch)[:4096])
    assert is_transport_stream(stream(pitch, before=b"rest of a packet")[:4096])
    assert not is_transport_stream(stream(pitch + 1)[:4096])
    assert not is_transport_stream(stream(pitch, 4))
    assert not is_transport_stream(b"export const GG: Grid = { G: 1 };\n" * 100)


def test_typescript_is_no_film(place: str, tmp_path: Path) -> None:
    write_video(tmp_path / "made.ts", moving_square(3))
    code = b"export class Grid { private g = 7; }\n"
    films = {"a/real.ts": (tmp_path / "made.ts").read_bytes(), "b/disc.TS": stream(192)}
    (tmp_path / "made.ts").unlink()
    fill(place, {**films, "app/main.ts": code, "app/x.d.ts": code * 200, "a/empty.ts": b""})
    assert names(place) == ["a/empty.ts", "a/real.ts", "b/disc.TS"], "an empty one is an error row"
    assert left_out(place) == "2 .ts that are no films (app/main.ts, app/x.d.ts)"
    assert "3 ts, read as videos: 3 videos" in survey(place).seen


def animated(flags: int, kind: bytes = b"VP8X") -> bytes:
    return b"RIFF\0\1\0\0WEBP" + kind + b"\x0a\0\0\0" + bytes([flags]) + bytes(99)


def test_webp_that_is_animated_is_a_film(place: str) -> None:
    stills = {"b/1.webp": animated(0x10), "b/2.webp": animated(2, b"VP8L"), "b/3.webp": b"RIFF"}
    fill(place, {"a/v.WebP": animated(2), "a/w.webp": animated(0x12), **stills})
    found = survey(place)
    assert [(source.name, source.kind) for source in found.sources] == [
        ("a/v.WebP", "video"), ("a/w.webp", "video"), ("b", "images"),
    ]  # fmt: skip
    assert len({source.stamp for source in found.sources}) == 3
    assert "5 webp, read as videos and frames: 1 folders of frames and 2 videos" in found.seen


def test_where_all_is_typescript_that_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "src/index.ts")
    said = r"but no video .*; left out: 1 \.ts that is no film \(src/index\.ts\); give another"
    with pytest.raises(SourceError, match=said):
        find_sources(str(tmp_path))


def test_only_what_may_be_another_thing_than_its_name_says_is_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filesystem = fsspec.filesystem("memory")
    looked: list[tuple[str, int | None, int | None]] = []
    read = type(filesystem).cat_file

    def watched(self: object, path: str, start: int | None = None, end: int | None = None) -> bytes:
        looked.append((path, start, end))
        return read(self, path, start, end)

    monkeypatch.setattr(type(filesystem), "cat_file", watched)
    films = ["v.mp4", "w.m2ts", "x.mts", "y.ts"]
    still = b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(100)
    many = {f"many/{number}.webp": still for number in range(10)}
    stills = {"few/1.webp": still, "few/2.png": b"x", **many}
    fill("memory://looked", {**dict.fromkeys(films, stream(188, 1000)), **stills})
    assert names("memory://looked") == ["few", "many", *films]
    assert looked == [("/looked/y.ts", 0, 4096), ("/looked/few/1.webp", 0, 21)]
    assert names("memory://looked", "frames") == ["few", "many"]
    assert len(looked) == 3


def test_names_with_two_colons_are_plain_names(tmp_path: Path) -> None:
    """fsspec alone takes them for a chain of addresses."""
    kinds = {"a::b/v::w.mp4": b"1", "a/b/v/w.mp4": b"2", "file::x/0001.png": b"3", "::.mp4": b"4"}
    fill(str(tmp_path), kinds)
    found = find_sources(str(tmp_path))
    assert [s.name for s in found] == ["::.mp4", "a/b/v/w.mp4", "a::b/v::w.mp4", "file::x"]
    for source in found:
        filesystem, path = storage.file_system(source.uri)
        if source.kind == "images":
            assert filesystem.ls(path, detail=False) == [f"{tmp_path}/file::x/0001.png"]
        else:
            assert filesystem.cat_file(path) == kinds[source.name]
    assert len({safe_name(source) for source in found}) == 4


def test_a_root_with_two_colons(tmp_path: Path) -> None:
    touch(tmp_path, "x::y/a/v.mp4")
    (source,) = find_sources(f"{tmp_path}/x::y")
    filesystem, path = storage.file_system(source.uri)
    assert (source.name, filesystem.cat_file(path)) == ("a/v.mp4", b"x")


def test_keys_with_empty_parts_are_objects_of_their_own() -> None:
    films = ["v.mp4", "/v.mp4", "a/v.mp4", "a//v.mp4", "a///v.mp4", "c.mp4"]
    keys = [*films, "b/1.png", "b//1.png", "c.mp4/1.png"]
    filesystem = fsspec.filesystem("memory")
    for key in keys:
        filesystem.store[f"/keys/{key}"] = _object(key)
    try:
        found = survey("memory://keys")
    finally:
        for key in keys:
            del filesystem.store[f"/keys/{key}"]
    uris = {source.name: source.uri.removeprefix("memory:///keys/") for source in found.sources}
    assert uris == {**{name: name for name in films}, "b": "b", "c.mp4/": "c.mp4"}
    assert len(found.sources) == len({source.stamp for source in found.sources}) == 8
    assert len({safe_name(source) for source in found.sources}) == 8
    assert found.seen.endswith("left out: 1 image in a folder without a name (b//1.png)")


def test_results_of_one_source_are_not_where_the_folder_of_another_is() -> None:
    """Frames "a" have a file a/track_000.mp4, and the film of that name a folder."""
    film = Source("", "a/track_000.mp4", "a", "video")
    assert safe_name(Source("", "a", "", "images")) == "a"
    assert safe_name(film).startswith("a/_track_000.mp4-")
    assert safe_name(replace(film, name="a/track_000.mp4/v.mp4")).startswith(
        "a/_track_000.mp4/v.mp4-"
    )


def _object(key: str) -> object:
    from fsspec.implementations.memory import MemoryFile

    return MemoryFile(fsspec.filesystem("memory"), f"/keys/{key}", key.encode())


def test_what_is_left_out_is_told_in_one_order_and_briefly() -> None:
    left = LeftOut()
    assert left.told() == ""
    left.add("broken", "d")
    left.add("hidden", *"cba", "a", "e")
    left.add("stills")
    assert left.told() == "4 hidden (a, b, c, …), 1 broken link (d)"
