"""Storage: whole writes, the same functions on local files and object storage (fsspec memory)."""

import errno
import os
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from fsspec.implementations.memory import MemoryFileSystem

from infra import outages, storage
from infra.errors import FaultError, RunError


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder on disk, and one in fsspec's in-memory object store."""
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_write_read_list_remove(root: str) -> None:
    storage.write_bytes(storage.join(root, "a", "b.bin"), b"12")
    storage.write_json(storage.join(root, "c.json"), {"name": "é"})
    assert storage.read_bytes(storage.join(root, "a", "b.bin")) == b"12"
    assert storage.read_json(storage.join(root, "c.json")) == {"name": "é"}
    assert [uri.rsplit("/", 1)[-1] for uri in storage.files(root)] == ["b.bin", "c.json"]
    assert len(storage.files(root, ".json")) == 1
    storage.remove(storage.join(root, "a"))
    assert not storage.exists(storage.join(root, "a", "b.bin"))
    storage.remove(storage.join(root, "a"))  # absent: nothing happens


@pytest.mark.parametrize("name", ["run[1]", "run?", "run*"])
def test_a_name_is_no_pattern(name: str, root: str) -> None:
    """What would fit it, were it one, stays."""
    one, other = (storage.join(root, folder, "a.bin") for folder in (name, "run1"))
    for uri in (one, other):
        storage.write_bytes(uri, b"1")
    storage.move(one, moved := storage.join(root, name, "b.bin"))
    assert sorted(storage.sizes(root)) == sorted([f"{name}/b.bin", "run1/a.bin"])
    storage.remove(storage.join(root, name))
    assert list(storage.sizes(root)) == ["run1/a.bin"]
    storage.write_bytes(moved, b"1")
    storage.remove_all([moved])
    assert list(storage.sizes(root)) == ["run1/a.bin"]
    storage.remove_all([other])
    assert storage.files(root) == []


def test_listed_uris_can_be_read_back(root: str) -> None:
    storage.write_bytes(storage.join(root, "x", "one.bin"), b"1")
    assert [storage.read_bytes(uri) for uri in storage.files(root)] == [b"1"]


def test_missing_file_and_missing_folder(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(storage.join(root, "nothing"))
    assert storage.files(storage.join(root, "nothing")) == []


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "a.json")
    storage.write_bytes(uri, b"old")

    def disk_full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(FaultError, match="no space"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_local_copies(root: str) -> None:
    storage.write_bytes(storage.join(root, "w.bin"), b"weights")
    with storage.local_file(storage.join(root, "w.bin")) as path:
        assert path.read_bytes() == b"weights"
    with storage.local_folder(storage.join(root, "out")) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "f.txt").write_text("x")
    assert storage.read_bytes(storage.join(root, "out", "sub", "f.txt")) == b"x"


def test_local_paths_become_absolute_and_uris_stay() -> None:
    assert storage.absolute("runs/a") == str(Path.cwd() / "runs/a")
    assert storage.absolute("s3://bucket/run/") == "s3://bucket/run"
    assert storage.join("s3://bucket/run/", "a", "b") == "s3://bucket/run/a/b"


def test_a_file_appears_when_its_block_ends(root: str) -> None:
    """Whole, in place of the one before; and not where the block raises, or writes nothing."""
    uri = storage.join(root, "a", "b.bin")
    for content in (b"old", b"new"):
        with storage.whole(uri) as path:
            path.write_bytes(content)
            assert content == b"new" or not storage.exists(uri)
        assert storage.read_bytes(uri) == content
    with pytest.raises(KeyError), storage.whole(uri) as path:
        path.write_bytes(b"half")
        raise KeyError
    with storage.whole(uri):
        pass
    assert storage.read_bytes(uri) == b"new"
    assert [found.rsplit("/", 1)[-1] for found in storage.files(root)] == ["b.bin"]
    assert not path.exists()


def fail_first(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> list[str]:
    """Let the in-memory store refuse that many writes; returns the list of all attempts."""
    attempts: list[str] = []
    write = MemoryFileSystem.pipe_file

    def pipe_file(self: MemoryFileSystem, path: str, *rest: object, **more: object) -> None:
        attempts.append(path)
        if len(attempts) <= times:
            raise error
        write(self, path, *rest, **more)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)
    return attempts


def test_a_store_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = fail_first(monkeypatch, 3, ConnectionError("refused"))
    storage.write_bytes("memory://patience/a", b"1")
    assert len(attempts) == 4
    assert storage.read_bytes("memory://patience/a") == b"1"


def test_a_store_that_stays_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_first(monkeypatch, 99, ConnectionError("refused"))
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    with pytest.raises(FaultError, match=r"memory://patience/b: .* not answered .*refused"):
        storage.write_bytes("memory://patience/b", b"1")


def test_a_store_that_forbids_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = fail_first(monkeypatch, 99, PermissionError("AccessDenied"))
    with pytest.raises(RunError, match=r"memory://patience/c: AccessDenied; check the AWS_"):
        storage.write_bytes("memory://patience/c", b"1")
    assert len(attempts) == 1


def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    with pytest.raises(FaultError, match=r"file/a: cannot be written: (Not a dir|File exists)"):
        storage.write_bytes(str(tmp_path / "file/a"), b"1")


def test_what_killed_writers_leave_is_no_file_and_is_swept(tmp_path: Path) -> None:
    hexes = uuid.uuid4().hex
    left = [f"train/.{hexes}.tmp", f".{hexes}.tmp"]
    kept = ["train/0.parquet", ".tmp-mine.parquet", f"train/{hexes}.tmp", ".hidden", ".x.tmp"]
    for name in left + kept:
        storage.write_bytes(str(tmp_path / name), b"x")
    assert [uri for uri in storage.files(str(tmp_path)) if hexes in uri and "/." in uri] == []
    storage.sweep(str(tmp_path))
    storage.sweep(str(tmp_path / "absent"))
    assert sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    ) == sorted(kept)


def refusal(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (refusal(503, "SlowDown"), "keeps answering 503"),
        (EndpointConnectionError(endpoint_url="http://me:secret@h:1"), "Could not connect .*//h:1"),
        (ReadTimeoutError(endpoint_url="http://h:1"), "Read timeout"),
        (NoCredentialsError(), "credentials"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left"),
    ],
)
def test_storage_out_of_reach_is_told_in_one_line(cause: Exception, said: str) -> None:
    """However deep in other errors it lies."""
    with pytest.raises(FaultError, match=said) as found, outages.reporting():
        try:
            raise cause
        except Exception as error:
            raise ValueError("v.mp4: not readable") from error
    assert "\n" not in str(found.value)


def test_a_chain_of_causes_without_an_end_is_looked_through_once() -> None:
    """`raise e from e`, as Ray does where its dashboard does not start, and causes in a ring."""
    error = ValueError("a")
    error.__cause__ = error
    assert outages.failure(error) == ""
    first, second = ValueError("a"), OSError(errno.ENOSPC, "No space left on device")
    first.__cause__, second.__cause__ = second, first
    assert "no space is left" in outages.failure(first)


@pytest.mark.parametrize(
    "error",
    [refusal(403, "AccessDenied"), refusal(404, "NoSuchKey"), FileNotFoundError("a"),
     ParamValidationError(report="name"), ValueError("a")],
)  # fmt: skip
def test_an_error_of_one_object_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), outages.reporting():
        raise error
