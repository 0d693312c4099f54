"""A node of the cluster is lost while films are restored; the others do all of it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from infra import cluster
from tests.integration.conftest import run_here
from tests.support.enhancement.collections import arguments, collection, results, weights
from tests.support.waiting import until

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")

FILMS = {"long.mp4": 1100} | {f"{number}.mp4": 100 for number in range(4)}


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head with one CPU, and a node with two, joined as a user joins a running cluster; commands
    find it and leave it."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    disconnect = cluster.disconnect
    monkeypatch.setattr(cluster, "disconnect", lambda: None)
    try:
        found.add_node(num_cpus=2)
        cluster.connect(found.address)
        yield found
    finally:
        disconnect()
        found.shutdown()


def test_a_node_is_lost_and_the_other_does_all(two_nodes: Cluster, tmp_path: Path) -> None:
    """When a film is whole, and a span of the long one is kept."""
    films = collection(tmp_path / "films", FILMS)
    model, folder = weights(tmp_path / "weights.safetensors", "f1"), tmp_path / "run"
    ended = threading.Event()

    def lose() -> None:
        until(
            lambda: ended.is_set()
            or (list(folder.rglob("receipt.json")) and list(folder.rglob("*.npz"))),
            "a film and a span",
        )  # fmt: skip
        assert not ended.is_set()
        (node,) = two_nodes.worker_nodes
        two_nodes.remove_node(node, allow_graceful=False)

    watcher = threading.Thread(target=lose)
    watcher.start()
    found = run_here(*arguments(films, folder, model), stages=["enhance"])
    ended.set()
    watcher.join()
    assert found.status == 0
    until(lambda: [node["Alive"] for node in ray.nodes()].count(False) == 1, "word of the loss")
    again = run_here(*arguments(films, tmp_path / "again", model), stages=["enhance"])
    assert again.status == 0
    assert results(folder) == results(tmp_path / "again")
    assert not list(folder.glob("enhanced/**/.*"))
