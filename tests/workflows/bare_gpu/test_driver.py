"""The steps' processes, their time boxes, and the page."""

import json
import os
import re
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from infra.errors import InputError
from tests.support.waiting import until
from workflows.bare_gpu import driver
from workflows.bare_gpu.parcels import unpacking
from workflows.bare_gpu.step import Step

# Processes of their own: not Ray, yet too long for unit tests.
pytestmark = pytest.mark.integration

HERE = "tests.support.steps"
GOOD, BAD = Step("good", "well", 1, package=HERE), Step("bad", "ill", 1, package=HERE)
SLOW = Step("slow", "long", 1, package=HERE)
LACKING = Step("lacking", "never", 1, needs=("no_such_module",), package=HERE)


def words(folder: Path, *more: str) -> list[str]:
    return [
        "--device", "cpu", "--out", str(folder / "out"), "--work", str(folder / "work"),
        "--parcels", str(folder / "parcels"), *more,
    ]  # fmt: skip


def result(folder: Path, step: str) -> dict:
    return json.loads((folder / "out" / f"{step}.json").read_text())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Ended, and not yet waited for by whoever took it over.
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_step_that_fails_and_one_that_hangs_cost_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(driver, "STEPS", (BAD, LACKING, SLOW, GOOD))
    monkeypatch.setattr(driver, "SPOKEN", 0.2)
    said, waited = tmp_path / "out" / "slow.running.json", driver._waited

    def boxed(
        process: subprocess.Popen[bytes], step: Step, begun: float, seconds: float
    ) -> int | None:
        """The slow step's box is over once it has said what it had to, however slow that is."""
        if step is SLOW:
            until(said.exists, "what the slow step says")
            begun, seconds = time.monotonic(), 0.5
        return waited(process, step, begun, seconds)

    monkeypatch.setattr(driver, "_waited", boxed)
    assert driver.main(words(tmp_path, "--minutes", "30"), "") == 1
    found = {step: result(tmp_path, step) for step in ("bad", "lacking", "slow", "good")}
    assert {step: one["state"] for step, one in found.items()} == {
        "bad": "failed", "lacking": "left out", "slow": "out of time", "good": "done",
    }  # fmt: skip
    assert found["bad"]["figures"] == {"first": 1} and "out of luck" in found["bad"]["why"]
    assert found["lacking"]["why"] == "no no_such_module here"
    assert found["good"]["figures"]["device"] == "cpu"
    # What the others left over it got: boxes are shares of what is left.
    assert found["good"]["figures"]["seconds"] > 30 * 60 / 2
    # Nothing of the slow step goes on, not even what it had started.
    pid = int((tmp_path / "work" / "slow.pid").read_text())
    assert found["slow"]["figures"] == {"pid": pid} and not alive(pid)
    page = (tmp_path / "out" / "summary.md").read_text()
    for said in (
        "| bad | ill | failed |",
        "out of luck",
        "first 1",
        "| good | well | done |",
        "on cpu",
    ):
        assert said in page
    shown = capsys.readouterr().out
    assert page in shown
    assert re.search(r"^\[slow\] \d+ of \d+ s at most$", shown, re.M)
    assert "out of luck" in (tmp_path / "out" / "log.txt").read_text()


def test_without_a_gpu_it_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert driver.main([*words(tmp_path), "--device", "cuda"], "") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "it finds no GPU; give --device cpu --tiny" in told
    assert not (tmp_path / "out").exists()


def test_a_step_for_which_no_time_is_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "STEPS", (GOOD,))
    assert driver.main(words(tmp_path, "--minutes", "0.001"), "") == 1
    assert result(tmp_path, "good")["why"] == "no time was left for it"


def test_the_page_keeps_what_an_earlier_call_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "STEPS", (GOOD, BAD))
    assert driver.main(words(tmp_path, "--only", "good"), "") == 0
    assert driver.main(words(tmp_path, "--skip", "good"), "") == 1
    page = (tmp_path / "out" / "summary.md").read_text()
    assert "on cpu" in page and "out of luck" in page


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "paint"], "no step 'paint'; there are machine, tests"),
        (["--only", "machine", "--skip", "machine"], "leave no step"),
        (["--minutes", "0"], "--minutes: expected more than 0"),
        (["--device", "tpu"], "invalid choice"),
        (["--join", "nowhere"], "holds no weights.00"),
    ],
)
def test_mistakes_are_one_line(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert driver.main(words(tmp_path, *more), "") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and said in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_parcels_of_packages_are_unpacked_once_and_those_of_another_python_left(
    tmp_path: Path,
) -> None:
    def archive(name: str, python: str, text: str) -> Path:
        (tmp_path / "x.py").write_text(text)
        file = tmp_path / "parcels" / name / unpacking.site_name(python)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w:xz") as tar:
            tar.add(tmp_path / "x.py", "x.py")
        return file

    archive("code", unpacking.HERE, "first = 1\n")
    archive("ray", "2.7", "print 1\n")
    (site,) = unpacking.sites(tmp_path / "parcels")
    assert (site / "x.py").read_text() == "first = 1\n"
    (site / "mark").touch()
    assert (unpacking.sites(tmp_path / "parcels")[0] / "mark").exists()
    archive("code", unpacking.HERE, "second = 2 + 2 + 2\n")
    (other,) = unpacking.sites(tmp_path / "parcels")
    assert (other / "x.py").read_text() == "second = 2 + 2 + 2\n" and not site.exists()


def test_a_damaged_parcel_leaves_nothing_half_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "code" / unpacking.site_name(unpacking.HERE)
    file.parent.mkdir()
    file.write_bytes(b"\xfd7zXZ\x00cut short")
    with pytest.raises(InputError, match=r"damaged .*carry it again"):
        unpacking.sites(tmp_path)
    assert list(file.parent.iterdir()) == [file]
