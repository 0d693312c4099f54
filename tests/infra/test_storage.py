"""Storage: whole writes, the same functions on local files and object storage (fsspec memory)."""

import os
import uuid
from pathlib import Path

import pytest

from infra import storage


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
    with pytest.raises(OSError, match="no space"):
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
