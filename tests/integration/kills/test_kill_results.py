"""SIGKILL of evaluate, first of all processes, then of a worker of the rerun: it ends well, and
with what a run gives that nothing disturbs."""

import shutil
from pathlib import Path

from tests.integration.conftest import (
    TINY,
    TINY_RUN,
    Ended,
    planted,
    run_and_kill,
    run_and_kill_worker,
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


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
