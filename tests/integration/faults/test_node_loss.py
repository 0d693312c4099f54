"""A worker's node is lost; training goes on from its last checkpoint on another node."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from infra import cluster
from infra.training.checkpoints import Checkpoints
from tests.support import small_jobs
from tests.support.small_jobs import STEPS, work
from tests.support.waiting import until
from workflows.training.ray_train import fit

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def three_nodes() -> Iterator[Cluster]:
    """A head with 2 CPUs and two nodes with 3, joined as a user joins a running cluster."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        for _ in range(2):
            found.add_node(num_cpus=3)
        cluster.connect(found.address)
        yield found
    finally:
        cluster.disconnect()
        found.shutdown()


def test_node_is_lost_and_another_takes_over(three_nodes: Cluster, tmp_path: Path) -> None:
    shards = small_jobs.write_shards(tmp_path)
    folder, asked, gone = tmp_path / "run", tmp_path / "asked", tmp_path / "gone"

    def lose() -> None:
        small_jobs.wait_for(asked)
        small_jobs.wait_for(folder / "checkpoints/step-00000004/mark-0.json")
        (lost,) = (n for n in three_nodes.worker_nodes if n.node_id == asked.read_text())
        three_nodes.remove_node(lost, allow_graceful=False)

    watcher = threading.Thread(target=lose)
    watcher.start()
    # Three CPUs: the head cannot take the worker. `gone` never comes: step 5 ends with the node.
    fault = partial(small_jobs.announce, asked, gone, 5)
    last = fit(work(folder, shards, fault=fault, cpus_per_worker=3))
    watcher.join()
    assert last["step"] == STEPS
    # The worker that took over gives its first validation the best score again: of equals the last
    # is the best, so that one checkpoint is both.
    assert [mark.step for mark in Checkpoints(f"{folder}/checkpoints").complete()] == [STEPS]
    rows = json.loads((folder / "history.json").read_text())
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    # A worker that dies with its node may be replaced before the head gives up the node itself.
    until(lambda: [node["Alive"] for node in ray.nodes()].count(False) == 1, "word of the loss")
