"""Enhance over what changes, is damaged or is not there: files, weights, settings. One Ray serves
the whole module."""

import os
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra import cluster
from tests.integration.conftest import Ended, run_here, stamps
from tests.support import pools
from tests.support.enhancing import arguments, collection, results, weights
from workflows.enhancement import stage

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")

BROKEN = {"bad/cut.mp4", "bad/empty.mp4", "bad/text.mp4"}
GOOD = {f"good/{number}.mp4" for number in range(9)}


@pytest.fixture(scope="module", autouse=True)
def shared_ray() -> Iterator[None]:
    """Commands of this module find a Ray, and leave it."""
    with pytest.MonkeyPatch.context() as patch:
        cluster.connect(cpus=2, dashboard=False)
        disconnect = cluster.disconnect
        patch.setattr(cluster, "disconnect", lambda: None)
        yield
        disconnect()


def enhance(*told: object) -> Ended:
    return run_here(*told, stages=["enhance"])


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve films of which three are broken, and weights."""
    folder = tmp_path_factory.mktemp("given")
    films = collection(folder / "films", dict.fromkeys(sorted(GOOD | {"bad/cut.mp4"}), 6))
    whole = (films / "bad/cut.mp4").read_bytes()
    (films / "bad/cut.mp4").write_bytes(whole[: len(whole) // 2])
    (films / "bad/empty.mp4").touch()
    (films / "bad/text.mp4").write_text("this is no film\n" * 50)
    return films, weights(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def ended(given: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A run over them."""
    folder = tmp_path_factory.mktemp("run")
    return folder, enhance(*arguments(given[0], folder, given[1]))


@pytest.fixture
def again(
    given: tuple[Path, Path], ended: tuple[Path, Ended], tmp_path: Path
) -> Iterator[tuple[str, ...]]:
    """What gives the same on a copy of the run, `tmp_path`/run; whatever a test does to the films
    and to the weights, they are in the end as they were."""
    shutil.copytree(ended[0], tmp_path / "run")
    folder = given[0].parent
    shutil.copytree(folder, tmp_path / "given")
    yield arguments(given[0], tmp_path / "run", given[1])
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "given", folder)


def written(folder: Path) -> dict[str, int]:
    """When each file of the films was written."""
    enhanced = folder / "enhanced"
    times = stamps(path for path in enhanced.glob("*/*/*") if path.is_file())
    return {path.relative_to(enhanced).as_posix(): time for path, time in times.items()}


def errors(folder: Path) -> dict[str, str]:
    rows = pq.read_table(folder / "enhanced/errors.parquet").to_pylist()
    return {row["source"]: row["reason"] for row in rows}


def restored(folder: Path) -> set[str]:
    rows = pq.read_table(folder / "enhanced/manifest.parquet").to_pylist()
    assert all((folder / row["output"]).is_file() for row in rows)
    return {row["video"] for row in rows}


def test_broken_films_are_rows_and_the_rest_is_restored(ended: tuple[Path, Ended]) -> None:
    folder, said = ended
    assert said.status == 1
    assert restored(folder) == GOOD
    assert errors(folder).keys() == BROKEN
    assert "the file is empty" in errors(folder)["bad/empty.mp4"]
    assert "not a readable video" in errors(folder)["bad/text.mp4"]
    assert len([line for line in said.output.splitlines() if "bad/" in line]) == 3


def test_the_same_command_again(again: tuple[str, ...], tmp_path: Path) -> None:
    before = results(tmp_path / "run"), stamps((tmp_path / "run").rglob("*"))
    found = enhance(*again)
    assert found.status == 1, "three of twelve are still more than the share allows"
    assert "[enhance] complete since" in found.output
    assert (results(tmp_path / "run"), stamps((tmp_path / "run").rglob("*"))) == before


def test_a_film_that_is_replaced_is_restored_anew_and_no_other(
    given: tuple[Path, Path], again: tuple[str, ...], tmp_path: Path
) -> None:
    before = written(tmp_path / "run")
    shutil.copy(given[0] / "good/1.mp4", given[0] / "bad/cut.mp4")
    (given[0] / "good/3.mp4").unlink()
    found = enhance(*again)
    assert found.status == 1
    assert "0 added, 1 replaced, 1 removed, 10 kept as they are" in found.output
    assert restored(tmp_path / "run") == GOOD - {"good/3.mp4"} | {"bad/cut.mp4"}
    assert errors(tmp_path / "run").keys() == BROKEN - {"bad/cut.mp4"}
    after = written(tmp_path / "run")
    assert {name for name in after if after[name] != before.get(name)} == {
        f"bad/cut.mp4/{name}" for name in ("receipt.json", "frames.parquet", "track_000.mp4")
    }


def test_other_weights_make_all_anew(
    given: tuple[Path, Path], again: tuple[str, ...], tmp_path: Path
) -> None:
    """What was complete is not refused, and needs no --force."""
    before = written(tmp_path / "run")
    weights(given[1], seed=1)
    found = enhance(*again)
    assert found.status == 1
    assert "0 added, 12 replaced, 0 removed, 0 kept as they are" in found.output
    after = written(tmp_path / "run")
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in after)
    assert restored(tmp_path / "run") == GOOD


def test_weights_of_a_run(given: tuple[Path, Path], again: tuple[str, ...], tmp_path: Path) -> None:
    """Given as the folder in which they were trained, they are the same weights."""
    trained = tmp_path / "trained/train/f3"
    trained.mkdir(parents=True)
    shutil.copy(given[1], trained)
    (tmp_path / "trained/settings.yaml").write_text("enhance: {variant: f3}\n")
    found = enhance(*again, "--weights", tmp_path / "trained")
    assert "[enhance] complete since" in found.output
    assert found.status == 1


def test_weights_that_are_gone(
    given: tuple[Path, Path], again: tuple[str, ...], tmp_path: Path
) -> None:
    """What is complete stays so; what is not is refused."""
    given[1].unlink()
    found = enhance(*again)
    assert found.status == 1
    assert "complete since" in found.output and "weights.safetensors" in found.output
    assert restored(tmp_path / "run") == GOOD
    refused = enhance(*again, "--run", tmp_path / "other")
    assert refused.status == 2
    (line,) = refused.output.strip().splitlines()
    assert "weights.safetensors" in line
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--weights", "TEXT"), "enhance.weights"),
        (("--enhance.outputs", '["faces", "frames", "png"]'), "enhance.outputs"),
        (("--enhance.min-face", "14"), "enhance.min_face was 12, now 14"),
    ],
)
def test_what_is_refused_in_one_line(
    change: tuple[str, str], named: str, again: tuple[str, ...], tmp_path: Path
) -> None:
    """And the run stays as it is."""
    text = tmp_path / "text.safetensors"
    text.write_text("weights, or so it is said\n" * 50)
    before = stamps((tmp_path / "run").rglob("*"))
    refused = enhance(*again, *(text if word == "TEXT" else word for word in change))
    assert refused.status == 2
    (line,) = refused.output.strip().splitlines()
    assert line.startswith("error: ") and named in line
    assert stamps((tmp_path / "run").rglob("*")) == before


def test_films_that_are_not_there(given: tuple[Path, Path], tmp_path: Path) -> None:
    refused = enhance(*arguments(tmp_path / "absent", tmp_path / "run", given[1]))
    assert refused.status == 2
    (line,) = refused.output.strip().splitlines()
    assert line.startswith("error: --source") and str(tmp_path / "absent") in line
    assert not (tmp_path / "run").exists()


def test_a_single_film(given: tuple[Path, Path], tmp_path: Path) -> None:
    found = enhance(*arguments(given[0] / "good/5.mp4", tmp_path, given[1]))
    assert found.status == 0
    assert restored(tmp_path) == {"5.mp4"}


def test_a_film_that_kills_its_process_behind_its_first_span(
    given: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is read: two spans are kept by then. It is a row, no more than are allowed, and
    they are gone."""
    films = collection(tmp_path / "films", {"a.mp4": 130, "dies.mp4": 130})
    monkeypatch.setattr(stage, "Reader", pools.Dying)
    told = arguments(films, tmp_path / "run", given[1], "--preprocess.max-error-share", 0.5)
    found = enhance(*told)
    assert found.status == 0
    assert restored(tmp_path / "run") == {"a.mp4"}
    assert "its process died 3 times" in errors(tmp_path / "run")["dies.mp4"]
    folder = tmp_path / "run/enhanced/dies.mp4"
    assert [path.name for path in folder.rglob("*")] == ["receipt.json"]
    assert not list(tmp_path.glob("run/enhanced/**/.*"))


def test_spans_make_the_film_that_one_span_makes(
    given: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four spans of forty faces, or of one; a window reaches from span to span. But for how its
    rows are grouped, the table of frames is the same, too."""
    films = collection(tmp_path / "films", {"a.mp4": 130})
    assert enhance(*arguments(films, tmp_path / "one", given[1])).status == 0
    monkeypatch.setattr(stage, "Reader", pools.Dying)
    assert enhance(*arguments(films, tmp_path / "four", given[1])).status == 0
    four, one = results(tmp_path / "four"), results(tmp_path / "one")
    tables = [
        pq.read_table(BytesIO(found.pop("a.mp4/frames.parquet"))).to_pylist()
        for found in (four, one)
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 130
    assert four == one


def test_a_full_disk(given: tuple[Path, Path], small_disk: Path) -> None:
    """There is room for the results of a few films. The end comes in one line, that names a file;
    what is there by then stays, and with more room the same command goes on."""
    folder, filler = small_disk / "run", small_disk / "filler"
    room = shutil.disk_usage(small_disk).free - 200_000
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room)
    told = arguments(given[0] / "good", folder, given[1], "--enhance.outputs", '["png"]')
    found = enhance(*told)
    assert found.status == 3
    line = found.output.strip().splitlines()[-1]
    assert line.startswith(f"error: {folder}/enhanced/") and "No space left on device" in line
    assert "Traceback" not in found.output
    done = stamps(
        file for path in folder.rglob("receipt.json") for file in path.parent.rglob("*")
        if file.is_file()
    )  # fmt: skip
    assert done and not (folder / "enhanced/stage.json").exists()
    filler.unlink()
    assert enhance(*told).status == 0
    assert stamps(done) == done
    rows = pq.read_table(folder / "enhanced/manifest.parquet").to_pylist()
    assert len(rows) == len(GOOD)
    assert all(len(list((folder / row["pictures"]).iterdir())) == 6 for row in rows)
    assert not list(folder.glob("enhanced/**/.*"))
