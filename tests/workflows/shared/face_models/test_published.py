"""The model is fetched whole, within its time and with its checksum, or not at all."""

from pathlib import Path

import pytest

from infra.cluster import free_port
from infra.text import sha256_of
from tests.support.servers.file_server import serving
from workflows.shared.face_models import published
from workflows.shared.face_models.published import FetchError, cache, cached, fetched

MODEL = bytes(range(256)) * 40
RIGHT = sha256_of(MODEL)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_fetched_once_and_kept(folder: Path) -> None:
    assert cached(RIGHT) is None
    with serving(MODEL) as server:
        assert fetched(server.address, RIGHT, len(MODEL)) == MODEL
    assert cached(RIGHT) == MODEL
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [published.NAME]


def test_another_file_is_refused_and_nothing_is_kept(folder: Path) -> None:
    with serving(MODEL[:-1] + b"x") as server, pytest.raises(FetchError) as refused:
        fetched(server.address, RIGHT, len(MODEL))
    assert "was expected" in str(refused.value) and RIGHT[:12] in str(refused.value)
    assert not folder.exists()


def test_a_larger_file_is_not_read_to_its_end(folder: Path) -> None:
    """A byte more than expected is enough to know."""
    with serving(MODEL * 100) as server, pytest.raises(FetchError) as refused:
        fetched(server.address, RIGHT, len(MODEL))
    assert sha256_of((MODEL * 2)[: len(MODEL) + 1])[:12] in str(refused.value)
    assert not folder.exists()


@pytest.mark.parametrize("slow", ["headers", "body"])
def test_the_time_limit_holds_for_a_server_that_trickles(slow: str, folder: Path) -> None:
    """It never ends by itself: where the limit did not hold, this test would not end either."""
    with serving(MODEL, slow) as server, pytest.raises(FetchError, match=r"answer in 0\.4 s"):
        fetched(server.address, RIGHT, len(MODEL), seconds=0.4)
    assert not folder.exists()


def test_what_is_gone_is_said(folder: Path) -> None:
    with serving(MODEL) as server, pytest.raises(FetchError, match="404"):
        fetched(server.address + ".old", RIGHT, len(MODEL))
    with pytest.raises(FetchError, match="refused"):
        fetched(f"http://127.0.0.1:{free_port()}/model.onnx", RIGHT, len(MODEL))
    assert not folder.exists()


def test_a_damaged_cache_is_no_model_and_is_mended(folder: Path) -> None:
    cache().parent.mkdir(parents=True)
    cache().write_bytes(MODEL[:100])
    assert cached(RIGHT) is None
    with serving(MODEL) as server:
        fetched(server.address, RIGHT, len(MODEL))
    assert cached(RIGHT) == MODEL


def test_a_cache_that_cannot_be_written_costs_nothing_else(folder: Path) -> None:
    folder.write_text("a file where a folder would be")
    with serving(MODEL) as server:
        assert fetched(server.address, RIGHT, len(MODEL)) == MODEL
    assert cached(RIGHT) is None


def test_no_test_reaches_the_network() -> None:
    with pytest.raises(FetchError, match="refused"):
        fetched()
