"""Which films are restored, and what of them lies there already."""

from pathlib import Path

import pytest

from datasets.sources.layouts import Source
from infra import storage
from infra.runs import Run
from infra.settings.settings import Settings
from tests.support.media import moving_square, write_video
from workflows.enhancement import films
from workflows.enhancement.receipts import OURS, remove_results, safe_name
from workflows.enhancement.steps import store
from workflows.shared.source_survey import fingerprint, forget_listings


def test_a_single_film_is_a_collection(tmp_path: Path) -> None:
    write_video(tmp_path / "anna/v.mp4", moving_square(3))
    write_video(tmp_path / "anna/other.mp4", moving_square(3))
    forget_listings()
    settings = Settings.model_validate({"enhance": {"source": str(tmp_path / "anna/v.mp4")}})
    found = films.reading(settings, Run(str(tmp_path / "run")), "stage", [], [])
    (film,) = found.left
    assert (film.name, film.identity, film.kind) == ("v.mp4", "anna", "video")
    assert film.uri == f"file://{tmp_path}/anna/v.mp4" and film.stamp


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ({"source": "/a"}, True),
        ({"source": "/a", "enhance": {"source": "/a"}}, True),
        ({"source": "/a", "enhance": {"source": "/b"}}, False),
        ({"source": "/a", "enhance": {"weights": "w.safetensors"}}, False),
        ({}, True),
    ],
)
def test_a_runs_own_films_are_those_that_it_was_trained_on(
    given: dict[str, object], own: bool, tmp_path: Path
) -> None:
    assert films.are_own(Settings.model_validate(given), Run(str(tmp_path))) == own


def test_what_lies_there_is_told_apart(tmp_path: Path) -> None:
    """Spans of the present files are kept, and films that lie in the folder of another one."""
    left = [Source("/f/a", "a", "f", "images", stamp="1"), Source("/f/b", "b", "f", "images")]
    done = Source("/f/a/c.mp4", "a/c.mp4", "a", "video")
    kept = store.folder_of("a", fingerprint("stage", left[0])).removeprefix("a/")
    wanted = {f"a/{kept}/000001.npz", f"a/{kept}/000004.npz"}
    stale = {
        "a/receipt.json", "a/track_000.mp4", "a/track_000/000001.png", "a/restored.mkv",
        "a/.spans-0123/000000.npz", "b/frames.parquet", "a/c.mp4/.spans-0123/000000.npz",
    }  # fmt: skip
    others = {"a/c.mp4/receipt.json", "a/c.mp4/track_000/000001.png", "manifest.parquet"}
    for name in wanted | stale | others:
        storage.write_bytes(f"{tmp_path}/{name}", b"x")
    found = films.found_among(storage.files(str(tmp_path)), str(tmp_path), "stage", left)
    assert found.spans == {"a": [1, 4]}
    assert {uri.removeprefix(f"{tmp_path}/") for uri in found.stale} == stale
    assert safe_name(done) == done.name

    remove_results(f"{tmp_path}/a")
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert there == others | {"b/frames.parquet", "a/c.mp4/.spans-0123/000000.npz"}


@pytest.mark.parametrize(
    "part",
    ["receipt.json", "track_000.mp4", "track_12_side_by_side.mp4", "track_7.jpg", "track_003",
     "restored.mp4", "restored.mkv", "frames.parquet", ".spans-01ab", "gallery"],
)  # fmt: skip
def test_a_film_is_not_called_as_a_result_of_another(part: str) -> None:
    assert OURS.fullmatch(part)
    for name in (f"a/{part}/v.mp4", f"a/{part}"):
        assert f"/{part}/" not in f"/{safe_name(Source('', name, '', 'video'))}/"
