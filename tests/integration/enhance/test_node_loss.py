"""A node of the cluster is lost while films are restored; the others do all of it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from infra import cluster
from tests.integration.conftest import run_here
from tests.support.enhancement.collections import arguments, collection, results, weights
from tests.support.waiting import PATIENCE, until

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


@pytest.mark.parametrize("notice", [None, 5], ids=["unannounced", "reclaimed"])
def test_a_node_is_lost_and_the_other_does_all(
    two_nodes: Cluster, tmp_path: Path, notice: int | None
) -> None:
    """When a film is whole, and a span of the long one is kept; at once, or some seconds after
    Ray was told that the node will be taken away, as of a spot machine."""
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
        if notice is not None:
            announce(two_nodes.address, node.node_id, notice)
            ended.wait(notice)
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


def announce(address: str, node: str, seconds: int) -> None:
    """Tell Ray that a node will be taken away, as a provider's notice is passed on."""
    ray_command = Path(sys.executable).with_name("ray")
    words = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "reclaimed",
             "--deadline-remaining-seconds", str(seconds)]  # fmt: skip
    command = [ray_command, "drain-node", "--address", address, "--node-id", node, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
