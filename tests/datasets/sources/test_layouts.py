from pathlib import Path

import pytest

from datasets.sources.discovery import SourceError, find_sources, survey
from datasets.sources.layouts import Source


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def brief(sources: list[Source]) -> list[tuple[str, str, str]]:
    return [(source.name, source.identity, source.kind) for source in sources]


LFW = ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "Bob/Bob_0001.jpg"]
ALIGNED = [f"aligned_images_DB/Ann_Lee/0/aligned_detect_0.{n}.jpg" for n in (9, 10, 11)]
WHOLE = [f"frame_images_DB/Bob/2/2.{n}.jpg" for n in (5, 6)]


def test_lfw_is_seen_and_each_image_is_a_still(tmp_path: Path) -> None:
    touch(tmp_path, *LFW)
    found = survey(str(tmp_path))
    assert brief(found.sources) == [(name, name.split("/")[0], "image") for name in LFW]
    assert found.seen == "layout auto: 3 jpg, read as lfw: 3 stills of 2 people"
    assert found.sources[0].uri.endswith("/Ann_Lee/Ann_Lee_0001.jpg")


def test_a_stray_image_beside_lfw_changes_nothing(tmp_path: Path) -> None:
    many = [f"P{n}/P{n}_0001.jpg" for n in range(19)]
    touch(tmp_path, *many, "contact sheet.png")
    assert {source.kind for source in find_sources(str(tmp_path))} == {"image"}
    touch(tmp_path, "P1/scan.jpg")  # 2 of 21 are more than one in twenty
    assert {source.kind for source in find_sources(str(tmp_path))} == {"images"}


def test_frames_named_like_their_folder_are_no_photographs(tmp_path: Path) -> None:
    """ffmpeg's burst/burst_%04d.jpg looks like LFW; a film has many images a folder, LFW few."""
    touch(tmp_path, *(f"burst/burst_{n:04d}.jpg" for n in range(1, 26)))
    assert [source.kind for source in find_sources(str(tmp_path))] == ["images"]


def test_any_photographs_are_stills_when_the_layout_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "ann/DSC 1.png", "ann/b.JPG", "ann/v.mp4", "c.pgm")
    assert brief(find_sources(str(tmp_path), "lfw")) == [
        ("ann/DSC 1.png", "ann", "image"),
        ("ann/b.JPG", "ann", "image"),
        ("c.pgm", tmp_path.name, "image"),
    ]


def test_youtube_faces_aligned(tmp_path: Path) -> None:
    touch(tmp_path, *ALIGNED, *WHOLE, "frame_images_DB/Bob.labeled_faces.txt", "readme.txt")
    found = survey(str(tmp_path))
    assert brief(found.sources) == [("aligned_images_DB/Ann_Lee/0", "Ann_Lee", "crops")]
    assert "read as ytf: 1 folders of crops of 1 person" in found.seen
    assert brief(find_sources(str(tmp_path / "aligned_images_DB"))) == [
        ("Ann_Lee/0", "Ann_Lee", "crops")
    ]


def test_youtube_faces_whole_frames_come_with_their_labels(tmp_path: Path) -> None:
    touch(tmp_path, *WHOLE, "frame_images_DB/Bob.labeled_faces.txt")
    for root in (tmp_path, tmp_path / "frame_images_DB"):
        (source,) = find_sources(str(root), "ytf")
        assert (source.identity, source.kind) == ("Bob", "images")
        assert source.labels == f"file://{tmp_path}/frame_images_DB/Bob.labeled_faces.txt"


def test_a_layout_takes_its_own_and_leaves_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "ann/v.mp4", "ben/burst/1.png")
    assert brief(find_sources(str(tmp_path), "videos")) == [("ann/v.mp4", "ann", "video")]
    assert brief(find_sources(str(tmp_path), "frames")) == [("ben/burst", "ben", "images")]
    seen = survey(str(tmp_path)).seen
    assert "1 mp4, 1 png, read as videos and frames: 1 folders of frames and 1 videos" in seen


def test_stills_beside_films_are_no_films(tmp_path: Path) -> None:
    """What a media centre keeps of a film, and what a person has beside it."""
    touch(tmp_path, "Alien (1979)/Alien.mkv", "Alien (1979)/poster.jpg", "Show/Season 1/e1.mp4")
    stills = [
        "Alien (1979)/Alien-thumb.jpg", "Show/folder.jpg", "Show/season01-poster.png",
        "Show/Season 1/e1.jpg", "Show/Season 1/thumbs/e1.png", "Show/extrafanart/7.jpg",
    ]  # fmt: skip
    touch(tmp_path, *stills)
    found = survey(str(tmp_path))
    assert [name for name, _, _ in brief(found.sources)] == [
        "Alien (1979)/Alien.mkv", "Show/Season 1/e1.mp4",
    ]  # fmt: skip
    assert "7 stills beside films (Alien (1979)/Alien-thumb.jpg, Alien (1979)/poster" in found.seen
    assert "1 mkv, 1 mp4, read as videos: 2 videos of 2 people" in found.seen


def test_frames_beside_films_are_films(tmp_path: Path) -> None:
    """Few or many, in a folder of their own; one that is named as cover art, too, when it is a
    film by its length."""
    posters = [f"ann/posters/{n:02d}.png" for n in range(10)]
    touch(tmp_path, "ann/v.mp4", "ann/walk/1.png", "ann/walk/2.png", "discovery/3.png", *posters)
    frames = [name for name, _, kind in brief(find_sources(str(tmp_path))) if kind == "images"]
    assert frames == ["ann/posters", "ann/walk", "discovery"]


def test_stills_beside_films_are_taken_when_the_layout_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "ann/v.mp4", "ann/v.jpg", "ann/poster.jpg")
    assert brief(find_sources(str(tmp_path))) == [("ann/v.mp4", "ann", "video")]
    assert brief(find_sources(str(tmp_path), "frames")) == [("ann", tmp_path.name, "images")]
    assert len(find_sources(str(tmp_path), "lfw")) == 2
    (tmp_path / "ann/v.mp4").unlink()
    assert brief(find_sources(str(tmp_path))) == [("ann", tmp_path.name, "images")]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("videos", "holds 1 png, but no video"),
        ("ytf", r"holds 1 png, but no aligned_images_DB/<person>/<video>/\*\.jpg"),
    ],
)
def test_a_layout_that_is_not_there_is_refused(tmp_path: Path, layout: str, message: str) -> None:
    touch(tmp_path, "ann/1.png")
    with pytest.raises(SourceError, match=message + ".*or preprocess.layout auto"):
        find_sources(str(tmp_path), layout)


def test_layouts_in_a_bucket() -> None:
    import fsspec

    filesystem = fsspec.filesystem("memory")
    for name in WHOLE:
        filesystem.pipe(f"/ytfaces/{name}", b"x")
    (source,) = find_sources("memory://ytfaces")
    assert source.uri == "memory:///ytfaces/frame_images_DB/Bob/2"
    assert source.labels == "memory:///ytfaces/frame_images_DB/Bob.labeled_faces.txt"
