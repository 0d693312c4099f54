"""Enhance with films in one bucket and results in another: how often the server is asked, and what
happens when it goes away. One server, behind a proxy, and one Ray serve the whole module."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import s3fs

from infra import cluster, storage
from tests.integration.conftest import Ended, run_here
from tests.support.enhancement.collections import arguments, collection, results, weights
from tests.support.servers.faulty_proxy import Fault, Faults, proxy
from tests.support.servers.s3_server import leading_to, reaching, server
from tests.support.whole_films import packets, pictures, whole_film

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")

FILMS = {f"a/{number:02d}.mp4": 6 for number in range(12)}
OUTPUTS = 2  # files of each film beside its receipt


@dataclass
class Store:
    """A server with the buckets `films` and `results`, what it was asked, and the weights."""

    files: s3fs.S3FileSystem
    faults: Faults
    weights: Path
    asked: list[tuple[str, str]] = field(default_factory=list)

    def watch(self, fault: Fault = lambda method, path, number: "") -> None:
        """Note from now on what is asked, and fail as `fault` says."""
        self.asked, self.faults.requests = [], 0

        def choose(method: str, path: str, number: int) -> str:
            self.asked.append((method, path))
            return fault(method, path, number)

        self.faults.choose = choose

    def enhance(self, run: str, *more: object, source: str = "s3://films/drawn") -> Ended:
        return run_here(*arguments(source, run, self.weights, *more), stages=["enhance"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder, faults = tmp_path_factory.mktemp("store"), Faults()
    with (
        server("moto", folder) as port,
        proxy(port, faults) as entrance,
        # What is tested is our own patience, on top of the client's.
        reaching({**leading_to(entrance), "AWS_MAX_ATTEMPTS": "2", "FACESTACK_PATIENCE": "5"}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(storage, "PATIENCE", 5.0)
        cluster.connect(cpus=2, dashboard=False)
        disconnect = cluster.disconnect
        patch.setattr(cluster, "disconnect", lambda: None)
        files = s3fs.S3FileSystem(use_listings_cache=False)
        for bucket in ("films", "results"):
            files.mkdir(bucket)
        files.put(str(collection(folder / "films", FILMS)), "films/drawn", recursive=True)
        yield Store(files, faults, weights(folder / "weights.safetensors", "f1"))
        disconnect()


@dataclass(frozen=True)
class Counted:
    """What was asked of the server for all films together, and what came of it."""

    first: Counter[str]
    other_weights: Counter[str]
    results: dict[str, object]


@pytest.fixture(scope="module")
def counted(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """Twice the same, with other weights before."""
    run, own = "s3://results/counted", store.weights.read_bytes()
    found = []
    for content in (weights(store.weights, "f1", seed=1).read_bytes(), own):
        store.weights.write_bytes(content)
        store.watch()
        assert store.enhance(run).status == 0
        found.append(Counter(f"{method} {kind(path)}" for method, path in store.asked))
    folder = tmp_path_factory.mktemp("counted")
    return Counted(*found, fetched(store, run, folder))


def kind(path: str) -> str:
    """What a request is about: a film, the results of one, or something else."""
    place, _, query = path.partition("?")
    if "list-type" in query:
        return "listing"
    if place.startswith("/films/"):
        return "film"
    return "result" if "/enhanced/a/" in place else "other"


def fetched(store: Store, run: str, folder: Path) -> dict[str, object]:
    store.files.get(f"{run}/", f"{folder}/", recursive=True)
    return results(folder)


def test_a_film_costs_two_requests_and_one_for_each_file_that_is_written(counted: Counted) -> None:
    """One tells its size, one gives all of it. There is no more of any kind for more films, but for
    the lease, which is a matter of time."""
    first = counted.first
    # Two tell that the source is no file.
    assert first["HEAD film"] in range(len(FILMS), len(FILMS) + 3)
    assert first["GET film"] == len(FILMS)
    assert first["PUT result"] == (OUTPUTS + 1) * len(FILMS)
    assert first["HEAD result"] == first["GET result"] == first["DELETE result"] == 0
    assert first["listing"] < 2 * len(FILMS)
    assert first["POST other"] <= 1


def test_what_other_weights_cost_besides(counted: Counted) -> None:
    """A film's receipt is read, and all that is there of all films is removed at once."""
    assert counted.other_weights["GET result"] == len(FILMS)
    assert counted.other_weights["HEAD result"] == counted.other_weights["DELETE result"] == 0
    assert counted.other_weights["listing"] < 2 * len(FILMS)
    assert counted.other_weights["POST other"] <= 4


def receipts(store: Store) -> int:
    """How many the server was given."""
    return sum(method == "PUT" and path.endswith("receipt.json") for method, path in store.asked)


def test_a_server_that_is_away_for_a_while(store: Store, counted: Counted, tmp_path: Path) -> None:
    """From the second receipt on, as long as it takes to be asked ten times."""

    def away(method: str, path: str, number: int) -> str:
        return "drop" if receipts(store) >= 2 and len(store.faults.seen) < 10 else ""

    store.faults.seen.clear()
    store.watch(away)
    assert store.enhance("s3://results/while").status == 0
    assert store.faults.seen == ["drop"] * 10
    assert fetched(store, "s3://results/while", tmp_path) == counted.results


def test_a_server_that_stays_away_and_comes_back(
    store: Store, counted: Counted, tmp_path: Path
) -> None:
    """The end comes in one line; what is there by then is not made again."""
    run, told = "s3://results/good", re.compile(r"error: .*(storage|s3://)")
    store.watch(lambda method, path, number: "500" if receipts(store) > 3 else "")
    ended = store.enhance(run)
    assert ended.status == 3
    assert told.match(ended.output.strip().splitlines()[-1])
    assert "Traceback" not in ended.output and ended.output.count("error:") == 1
    store.watch()
    store.files.rm(f"{run}/lease.json")  # of this process, which lives on
    there = store.files.find("results/good/enhanced")
    done = {name for name in there if name.endswith("receipt.json")}
    assert len(done) == 3
    assert store.enhance(run).status == 0
    written = {path for method, path in store.asked if method == "PUT"}
    assert not {f"/{name}" for name in done} & written
    assert receipts(store) == len(FILMS) - 3
    assert fetched(store, run, tmp_path) == counted.results


def test_a_film_with_sound(store: Store, tmp_path: Path) -> None:
    """It comes back from the bucket with the sound that it had, packet by packet."""
    store.watch()
    chance = np.random.default_rng(0)
    face = chance.integers(40, 216, (32, 32, 3))
    frames = [(face + chance.integers(-20, 20, face.shape)).astype(np.uint8) for _ in range(25)]
    before = whole_film(tmp_path / "before.mp4", frames)
    store.files.put(str(before), "films/heard/spoken.mp4")
    wanted = ("--enhance.outputs", '["film"]', "--enhance.large", "degrade")
    run = "s3://results/heard"
    assert store.enhance(run, *wanted, source="s3://films/heard").status == 0
    with store.files.open(f"{run}/enhanced/manifest.parquet") as stream:
        assert pq.read_table(stream).num_rows == 1
    store.files.get(f"{run}/enhanced/spoken.mp4/restored.mp4", str(tmp_path / "after.mp4"))
    sound = packets(tmp_path / "after.mp4", "audio")
    assert sound == packets(before, "audio") and len(sound) > 40
    assert len(pictures(tmp_path / "after.mp4")[1]) == 25
