"""Source and run in object storage, on servers that speak S3 on loopback: rclone and moto.

They stand behind a proxy that fails on purpose, the way real object storage does.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs

from datasets.drawn.dataset import write_dataset
from tests.integration.conftest import Ended, content_of, run
from tests.support.servers.faulty_proxy import Faults, proxy
from tests.support.servers.s3_server import SECRET, USER, leading_to, reaching, server

AWKWARD = 'person_000/two\nlines, "quoted" \'é 🙂..mp4'
ARGUMENTS = ("preprocess.py", "--source", "s3://archive/films", "--clip.size", 32, "--run")
VIDEOS = 6


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_dataset(folder, identities=VIDEOS, clips=1, frames=29, size=32)
    return folder


def no_fault(method: str, path: str, number: int) -> str:
    """Every request is passed on."""
    return ""


@contextmanager
def archive(kind: str, films: Path, folder: Path) -> Iterator[tuple[s3fs.S3FileSystem, Faults]]:
    """A bucket with the films behind a proxy; the environment points every client at it."""
    faults = Faults()
    with (
        server(kind, folder) as port,
        proxy(port, faults) as entrance,
        reaching(leading_to(entrance)),
    ):
        files = s3fs.S3FileSystem(use_listings_cache=False)
        if kind == "moto":
            files.mkdir("archive")
        files.put(str(films), "archive/films", recursive=True)
        yield files, faults


@pytest.fixture(scope="module")
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its logs; short, as the paths of its sockets may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Stumbled:
    """A run against a server that failed now and then: how it and a second one ended, what failed,
    the errors table (name → reason), and the content of the clips."""

    first: Ended
    second: Ended
    faults: set[str]
    errors: dict[str, str]
    content: dict[str, str]


@pytest.fixture(scope="module")
def stumbled(films: Path, tmp_path_factory: pytest.TempPathFactory, ray_folder: Path) -> Stumbled:
    """Every tenth request is refused, dropped or cut off; one object may not be read, one vanishes
    between its listing and its reading, and one is no film."""

    def choose(method: str, path: str, number: int) -> str:
        if method == "GET" and "locked.mp4" in path:
            return "403"
        if method == "GET" and "gone.mp4" in path:
            return "404"
        return ("503", "drop", "cut")[number // 10 % 3] if number % 10 == 9 else ""

    with archive("rclone", films, tmp_path_factory.mktemp("server")) as (files, faults):
        for name in ("locked.mp4", "gone.mp4", AWKWARD):
            files.copy("archive/films/person_000/clip_00.mp4", f"archive/films/{name}")
        files.pipe_file("archive/films/broken.mp4", b"no film")
        faults.choose, faults.requests = choose, 0
        ended = [
            run(*ARGUMENTS, "s3://archive/run", "--preprocess.max-error-share", 0.5)
            for _ in range(2)
        ]
        faults.choose = no_fault
        with files.open("archive/run/clips/errors.parquet") as stream:
            rows = pq.read_table(stream).to_pylist()
        errors = {row["source"].rsplit("/", 1)[-1]: row["reason"] for row in rows}
        assert not files.exists("archive/run/clips/parts")
        content = content_of("s3://archive/run")
    return Stumbled(*ended, set(faults.seen), errors, content)


def test_a_server_that_stumbles_is_asked_again(stumbled: Stumbled, films: Path) -> None:
    assert stumbled.faults == {"503", "drop", "cut", "403", "404"}
    assert (stumbled.first.status, stumbled.second.status) == (0, 0)
    assert "sources 10" in stumbled.first.output
    assert "[preprocess] complete since" in stumbled.second.output
    assert set(stumbled.errors) == {"locked.mp4", "gone.mp4", "broken.mp4"}
    assert "Forbidden" in stumbled.errors["locked.mp4"] or "on purpose" in str(stumbled.errors)
    assert {clip.rsplit("#", 1)[0] for clip in stumbled.content} == {
        AWKWARD, *(path.relative_to(films).as_posix() for path in films.rglob("*.mp4")),
    }  # fmt: skip


def test_a_run_in_a_bucket_has_its_detector_with_it(faces: Path, tmp_path: Path) -> None:
    """Workers read the model there; the next command needs neither its file nor a network."""
    models = faces / "../weights"
    if not any(models.glob("*yunet*.onnx")):
        pytest.skip("no YuNet model beside the faces")
    films = tmp_path / "films"
    for name in ("id000/clip_03.mp4", "id005/clip_02.wmv"):
        (films / name).parent.mkdir(parents=True)
        shutil.copyfile(faces / "videos" / name, films / name)
    arguments = (*ARGUMENTS, "s3://archive/run", "--preprocess.faces", "detect")
    with archive("rclone", films, tmp_path / "server") as (files, _):
        first = run(*arguments, FACESTACK_MODELS=str(models))
        kept = files.glob("archive/run/models/yunet-*.onnx")
        again = run(*arguments, "--update")
        other = run(*arguments, "--preprocess.detector", "haar")
        card = json.loads(files.cat_file("archive/run/clips/dataset.json"))
    assert (first.status, again.status, other.status) == (0, 0, 2)
    assert first.output.count("faces are found by YuNet") == 1
    assert "complete since" in again.output
    assert 'preprocess.detector was "yunet' in other.output
    assert card["detector"]["kind"] == "yunet" and card["inputs"]["accepted"] == 2
    assert [Path(name).stem.removeprefix("yunet-") for name in kept] == [
        card["detector"]["sha256"][:12]
    ]


def test_every_key_is_a_film_of_its_own(films: Path, tmp_path: Path) -> None:
    """Keys with "//" and "::", beside markers of folders: all are read, each under its name."""
    keys = ["v.mp4", "/v.mp4", "a/v.mp4", "a//v.mp4", "x::y/z::.mp4", "code/main.ts"]
    film = next(films.rglob("*.mp4")).read_bytes()
    with archive("moto", tmp_path, tmp_path / "server") as (files, _):
        for key in keys:
            content = b"export {};" if key.endswith(".ts") else film
            files.call_s3("put_object", Bucket="archive", Key=f"films/{key}", Body=content)
        for marker in ("", "a/", "empty.mp4/", "a/v.mp4/"):
            files.call_s3("put_object", Bucket="archive", Key=f"films/{marker}", Body=b"")
        ended = run(*ARGUMENTS, "s3://archive/run")
        content = content_of("s3://archive/run")
    assert ended.status == 0
    assert "read as videos: 5 videos" in ended.output
    assert "left out: 1 .ts that is no film (code/main.ts)" in ended.output
    assert {clip.rsplit("#", 1)[0] for clip in content} == set(keys[:-1])


def test_credentials_are_in_no_output_and_no_log(stumbled: Stumbled, ray_folder: Path) -> None:
    logs = [path for path in ray_folder.rglob("*") if path.is_file()]
    assert any(path.name.startswith("worker") for path in logs)
    text = b"".join(path.read_bytes() for path in logs)
    text += (stumbled.first.output + stumbled.second.output + str(stumbled.errors)).encode()
    assert SECRET.encode() not in text
    assert USER.encode() not in text


def test_a_server_that_stays_away_and_comes_back(
    stumbled: Stumbled, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end comes in one line; what is there by then is not made again."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("FACESTACK_PATIENCE", "1")
    written: list[str] = []

    def away_after_two_outcomes(method: str, path: str, number: int) -> str:
        if len(written) == 2:
            return "500"
        if method == "PUT" and path.endswith(".json") and "/parts/" in path:
            written.append(path)
        return ""

    def watched(method: str, path: str, number: int) -> str:
        if method == "PUT":
            again.append(path)
        return ""

    again: list[str] = []
    with archive("moto", films, tmp_path) as (_, faults):
        faults.choose = away_after_two_outcomes
        ended = run(*ARGUMENTS, "s3://archive/run")
        faults.choose = watched
        finished = run(*ARGUMENTS, "s3://archive/run")
        content = content_of("s3://archive/run")
    assert ended.status == 3
    lines = ended.output.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert "storage" in lines[-1]
    assert len([line for line in lines if "rror" in line or "Traceback" in line]) == 1
    assert finished.status == 0
    assert "[preprocess] was cut off, goes on" in finished.output
    assert not set(written) & set(again)
    of_others = {clip for clip in stumbled.content if clip.startswith(AWKWARD)}
    assert content == {c: h for c, h in stumbled.content.items() if c not in of_others}
