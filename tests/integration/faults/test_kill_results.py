"""SIGKILL of evaluate and enhance, first of all processes, then of a worker of the rerun: it ends
well, and with what a run gives that nothing disturbs."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tests.integration.conftest import (
    TINY,
    TINY_RUN,
    VIDEOS,
    Ended,
    planted,
    run_and_kill,
    run_and_kill_worker,
    stamps,
)

ACTOR = r"ray::MapWorker\(.*\)\.submit"  # at work


def copied(tiny: tuple[Path, Ended], folder: Path, without: str) -> Path:
    """A copy of the whole run in which one stage is to be done again."""
    shutil.copytree(tiny[0], folder, ignore=lambda at, _: [without] if Path(at) == tiny[0] else [])
    return folder


def test_evaluate_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """While it writes the report, and then while it measures: it keeps nothing, begins anew, and
    gives the same figures to the last digit."""
    folder = copied(tiny, tmp_path / "killed", without="report")
    report, undisturbed = folder / "report", tiny[0] / "report"
    arguments = ("evaluate.py", "--config", TINY, "--run", folder)
    run_and_kill((report / "metrics.json").exists, *arguments)
    assert not (report / "index.html").exists(), "killed too late to show anything"
    left = planted(report)
    (report / "metrics.json").write_text("{}")  # what was there is not taken for the result

    ended = run_and_kill_worker(lambda: True, ACTOR, *arguments)
    assert ended.status == 0
    assert "[evaluate] was cut off, goes on" in ended.output
    assert not left.exists() and not list(report.rglob(".*"))
    assert files(report) == files(undisturbed)
    for file in files(undisturbed) - {Path("stage.json"), Path("index.html")}:
        assert (report / file).read_bytes() == (undisturbed / file).read_bytes(), file
    # The page names the run, which is another.
    page = (undisturbed / "index.html").read_text().replace(TINY_RUN, str(folder))
    assert (report / "index.html").read_text() == page


def test_enhance_killed(tiny: tuple[Path, Ended], tmp_path: Path) -> None:
    """What was restored before a kill is not restored again."""
    folder = copied(tiny, tmp_path / "killed", without="enhanced")
    enhanced, undisturbed = folder / "enhanced", tiny[0] / "enhanced"
    arguments = ("enhance.py", "--config", TINY, "--run", folder)

    def outcomes() -> list[Path]:
        return list(enhanced.rglob("outcome.json"))

    run_and_kill(lambda: len(outcomes()) >= 3, *arguments)
    done = stamps([file for path in outcomes() for file in path.parent.iterdir()])
    assert 3 <= len(outcomes()) < VIDEOS // 2, "killed too late to show anything"
    assert not (enhanced / "stage.json").exists()
    left = planted(enhanced)
    before = len(outcomes())

    ended = run_and_kill_worker(lambda: len(outcomes()) > before, ACTOR, *arguments)
    assert ended.status == 0
    assert "[enhance] was cut off, goes on" in ended.output
    assert stamps(done) == done, "restored again"
    assert not left.exists() and not list(enhanced.rglob(".*"))
    assert files(enhanced) == files(undisturbed)
    films = {file for file in files(undisturbed) if file.suffix == ".mp4"}
    assert len(films) == VIDEOS
    for film in films:
        assert (enhanced / film).read_bytes() == (undisturbed / film).read_bytes(), film
    assert rows(enhanced).replace(f"file://{folder}", "").replace(str(folder), "") == rows(
        undisturbed
    ).replace(TINY_RUN, "")


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def rows(enhanced: Path) -> str:
    """All rows of both tables."""
    return "".join(
        json.dumps(pq.read_table(enhanced / name).to_pylist())
        for name in ("manifest.parquet", "errors.parquet")
    )
