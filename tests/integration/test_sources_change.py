"""Films that come, go or change after a run has read them: seen, and nothing else done again."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets.drawn.dataset import write_person
from tests.integration.conftest import (
    TINY,
    Ended,
    content_of,
    run,
    run_and_kill,
    run_here,
    stamps,
)

PEOPLE = 8


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A film each of eight people."""
    root = tmp_path_factory.mktemp("drawn")
    return [write_person(root, person, 1, 33, size=32)[0] for person in range(PEOPLE)]


def collect(root: Path, drawn: list[Path], people: Iterable[int]) -> Path:
    for person in people:
        target = root / f"person_{person}/film.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn[person], target)
    return root


def spoil(film: Path) -> None:
    """Make a film unreadable with its size and time as they were: who reads it again, fails."""
    seen = film.stat()
    film.write_bytes(bytes(seen.st_size))
    os.utime(film, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def preprocess(folder: Path, source: Path, *more: object) -> Ended:
    return run("preprocess.py", "--config", TINY, "--run", folder, "--source", source, *more)


def test_preprocess_takes_up_what_changed_and_keeps_the_rest(
    drawn: list[Path], tmp_path: Path
) -> None:
    """One film is new, one replaced, one gone; the others cannot be read any more, and need not.
    Killed on the way it goes on; its clips are in the end those of a run on the new films."""
    source = collect(tmp_path / "films", drawn, range(PEOPLE - 1))
    folder = tmp_path / "run"
    assert preprocess(folder, source).status == 0
    collect(source, drawn, [PEOPLE - 1])
    shutil.copy(drawn[0], source / "person_1/film.mp4")
    shutil.rmtree(source / "person_2")
    others = shutil.copytree(source, tmp_path / "fresh films")
    for person in (0, 3, 4, 5, 6):
        spoil(source / f"person_{person}/film.mp4")

    arguments = ("preprocess.py", "--config", TINY, "--run", folder, "--source", source)
    parts = folder / "clips/parts"
    run_and_kill(lambda: any(parts.glob("*.json")), *arguments)
    assert not (folder / "clips/stage.json").exists(), "killed too late to show anything"
    again = run(*arguments)
    assert again.status == 0
    assert preprocess(tmp_path / "fresh", others).status == 0
    assert content_of(folder) == content_of(tmp_path / "fresh")
    assert not parts.exists()

    assert "complete since" in preprocess(folder, source).output


def test_what_stands_on_the_clips_is_not_pulled_away_unasked(
    drawn: list[Path], tmp_path: Path
) -> None:
    source = collect(tmp_path / "films", drawn, range(PEOPLE - 1))
    folder = tmp_path / "run"
    assert preprocess(folder, source).status == 0
    assert run("pretrain.py", "--run", folder, "--engine", "torch").status == 0
    collect(source, drawn, [PEOPLE - 1])
    refused = run("preprocess.py", "--run", folder)
    assert refused.status == 2
    said = "1 added, 0 replaced, 0 removed, 7 kept as they are; pretrain"
    assert said in refused.output.strip().splitlines()[-1]
    assert "--update" in refused.output
    updated = run("preprocess.py", "--run", folder, "--update")
    assert updated.status == 0
    assert len({clip.split("#")[0] for clip in content_of(folder)}) == PEOPLE


def test_error_rows_are_tried_again_alone(drawn: list[Path], tmp_path: Path) -> None:
    source = collect(tmp_path / "films", drawn, range(PEOPLE - 1))
    spoil(source / "person_3/film.mp4")
    folder = tmp_path / "run"
    assert preprocess(folder, source).status == 1
    assert "complete since" in preprocess(folder, source).output
    seen = (source / "person_3/film.mp4").stat()
    shutil.copy(drawn[3], source / "person_3/film.mp4")
    os.utime(source / "person_3/film.mp4", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    for person in {0, 1, 2, 4, 5, 6}:
        spoil(source / f"person_{person}/film.mp4")
    collect(source, drawn, [PEOPLE - 1])  # which is new, and no error
    again = preprocess(folder, source, "--retry-errors")
    assert again.status == 0
    assert "0 added, 0 replaced, 0 removed, 1 tried again, 6 kept" in again.output
    assert len({clip.split("#")[0] for clip in content_of(folder)}) == PEOPLE - 1
    assert pq.read_table(folder / "clips/errors.parquet").num_rows == 0


@pytest.fixture(scope="module")
def copied(tiny: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, which was made in object storage, at another place."""
    folder = tmp_path_factory.mktemp("copied") / "run"
    shutil.copytree(tiny[0], folder, copy_function=shutil.copyfile)  # with new times
    return folder


def test_a_copied_run_is_whole(copied: Path) -> None:
    ended = run_here("--run", copied)
    assert ended.status == 0
    assert ended.output.count("complete since") == 8, "nothing was done again"
    rows = pq.read_table(copied / "enhanced/manifest.parquet").to_pylist()
    assert all((copied / row["output"]).is_file() for row in rows)
    assert all((copied / "source" / row["video"]).is_file() for row in rows)


def test_enhance_restores_what_is_new_and_keeps_the_rest(
    copied: Path, drawn: list[Path], tmp_path: Path
) -> None:
    source = collect(tmp_path / "films", drawn, (0, 1, 2))
    folder = shutil.copytree(copied, tmp_path / "run")
    arguments = ("enhance.py", "--run", folder, "--enhance.source", source, "--enhance.limit",
                 "none", "--enhance.large", "degrade", "--force", "enhance")  # fmt: skip
    assert run(*arguments).status == 0
    outputs = stamps((folder / "enhanced").rglob("track_*.*"))
    assert len(outputs) == 3 * 3  # faces, side by side, the best frame
    collect(source, drawn, [3])
    shutil.copy(drawn[4], source / "person_0/film.mp4")
    shutil.rmtree(source / "person_1")
    spoil(source / "person_2/film.mp4")
    again = run("enhance.py", "--run", folder)
    assert again.status == 0
    assert "1 added, 1 replaced, 1 removed, 1 kept as they are" in again.output
    kept = [path for path in outputs if "person_2" in path.parts]
    assert stamps(kept) == {path: outputs[path] for path in kept}
    rows = pq.read_table(folder / "enhanced/manifest.parquet").to_pylist()
    assert [row["video"] for row in rows] == [f"person_{n}/film.mp4" for n in (0, 2, 3)]


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("evaluate", ("--clip.size", "64"), "clip.size was 32, now 64"),
        ("enhance", ("--preprocess.faces", "detect"), 'preprocess.faces was "aligned", now "de'),
        ("train", ("--seed", "4"), "seed was 3, now 4"),
        ("study", ("--clip.scale", "8"), "clip.scale was 4, now 8"),
        ("alignment", ("--clip.size", "64"), "clip.size was 32, now 64"),
    ],
)
def test_other_clips_are_refused_by_field_name_before_work(
    script: str, arguments: tuple[str, ...], said: str, copied: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    refused = run(f"{script}.py", "--run", copied, *arguments)
    assert refused.status == 2
    assert len(refused.output.strip().splitlines()) == 1
    assert said in refused.output
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before
