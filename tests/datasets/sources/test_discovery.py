from pathlib import Path

import pytest

from datasets.sources.discovery import SourceError, find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from infra import storage


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_videos_and_folders_of_images_are_found_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b/two.MP4", "a/one.avi", "c/burst/0001.png", "c/burst/0002.PNG", "a/notes.txt")
    found = find_sources(str(tmp_path))
    assert [(s.name, s.identity, s.kind) for s in found] == [
        ("a/one.avi", "a", "video"),
        ("b/two.MP4", "b", "video"),
        ("c/burst", "c", "images"),
    ]
    filesystem, path = storage.file_system(found[0].uri)
    assert filesystem.cat_file(path) == b"x"


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a/v.mp4", "a/.v.mp4", ".cache/w.mp4", "a/.x/0001.png")
    assert [s.name for s in find_sources(str(tmp_path))] == ["a/v.mp4"]


@pytest.mark.parametrize("key", ["a/../b.mp4", "a/../1.png"])
def test_a_key_that_leads_out_of_its_folder_is_a_source_that_cannot_be_opened(key: str) -> None:
    import fsspec

    filesystem = fsspec.filesystem("memory")  # takes any key, as object storage does
    filesystem.pipe(f"/out/{key}", b"x")
    try:
        (source,) = find_sources("memory://out")
    finally:
        del filesystem.store[f"/out/{key}"]
    said = "the name leads out of its folder; rename the object"
    with pytest.raises(DecodeError, match=said), open_source(source):
        pass


@pytest.mark.parametrize(
    "name",
    ["Žofia Ünal/clip 1.mp4", 'a\'b/"c".mp4', "a#1/50%20?.mp4", "a/x::y[1]*.mp4", "é\n/🙂.mp4"],
)
def test_awkward_names_can_be_opened_again(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    (source,) = find_sources(str(tmp_path))
    assert source.name == name
    assert source.identity == name.split("/")[0]
    filesystem, path = storage.file_system(source.uri)
    assert filesystem.cat_file(path) == b"x"


def test_sources_without_a_folder_of_their_own_take_the_name_of_the_root(tmp_path: Path) -> None:
    touch(tmp_path / "anna", "v.mp4")
    assert find_sources(str(tmp_path / "anna"))[0].identity == "anna"
    touch(tmp_path / "ben" / "burst", "1.png")
    (source,) = find_sources(str(tmp_path / "ben" / "burst"))
    assert (source.name, source.identity, source.kind) == ("burst", "ben", "images")


@pytest.mark.parametrize("inner", ["burst/1.png", "burst/film.mp4"])
def test_sources_never_share_a_name(tmp_path: Path, inner: str) -> None:
    """The root is a source itself, and one within it has the root's name."""
    root = tmp_path / "ben" / inner.split("/")[0]
    touch(root, "1.png", "deep/burst/2.png", inner)
    found = find_sources(str(root))
    assert [s.name for s in found] == [".", inner.removesuffix("/1.png"), "deep/burst"]
    assert found[0].identity == "ben"
    (root / inner).unlink()
    assert [s.name for s in find_sources(str(root))] == [root.name, "deep/burst"]


def test_a_missing_root_says_which_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: no such folder; give"):
        find_sources(str(tmp_path / "nowhere"))


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "v.mp4")
    with pytest.raises(SourceError, match="is a file"):
        find_sources(str(tmp_path / "v.mp4"))


def test_a_root_without_videos_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.txt", "a/y.txt", "b/z.csv")
    with pytest.raises(SourceError, match=r"holds 2 txt, 1 csv, but no video"):
        find_sources(str(tmp_path))


def test_an_empty_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no file"):
        find_sources(str(tmp_path))


def test_the_memory_file_system_works_as_any_other() -> None:
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/bucket/anna/v one.mp4", b"x")
    (source,) = find_sources("memory://bucket")
    assert (source.name, source.identity) == ("anna/v one.mp4", "anna")
    filesystem, path = storage.file_system(source.uri)
    assert filesystem.cat_file(path) == b"x"
