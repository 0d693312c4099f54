"""Pools of tasks and actors: they follow a cluster that grows, and an actor whose work hangs is
replaced, and in the end the work given up."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from datasets.sources.layouts import Source
from infra import cluster
from infra.extraction import Detection, Limits
from infra.nodes.counts import JobCounts
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from tests.support import pools
from tests.support.enhancement import collections as enhancing
from tests.support.waiting import PATIENCE, until
from workflows.enhancement import graph, models
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.progress import Progress
from workflows.enhancement.spans import Model
from workflows.enhancement.steps.locate import Wanted
from workflows.enhancement.steps.writing import Writer
from workflows.preprocessing import stage as preprocessing
from workflows.shared import ray_rows

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")

FILMS = [Source(f"/x/a/{n}.mp4", f"{n}.mp4", "a", "video") for n in range(6)]


@pytest.fixture
def head_alone() -> Iterator[Cluster]:
    """A cluster of a head without CPUs, joined as a user joins a running one."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.connect(found.address)
        yield found
    finally:
        cluster.disconnect()
        found.shutdown()


def test_preprocess_takes_the_cpus_that_come_when_it_has_begun(
    head_alone: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node comes when the stage says how many sources there are; each task waits for another."""
    monkeypatch.setattr(preprocessing, "make_part", pools.make_part)
    said: list[str] = []

    def say(_: str, text: str) -> None:
        said.append(text)
        if len(said) == 1:
            head_alone.add_node(num_cpus=2)

    monkeypatch.setattr(preprocessing, "say", say)
    stage = Stage("preprocess", str(tmp_path), "")
    outcomes = preprocessing._extract(Settings(), stage, FILMS)
    assert [outcome.reason for outcome in outcomes] == ["True"] * len(FILMS)
    assert said[0] == "6 sources, one a CPU at once"


def writer_below(folder: Path, networks: list[Model], *kinds: str) -> Writer:
    outputs = Chosen(kinds, 1.0, True, Limits())
    models = {network.low_size: network for network in networks}
    return Writer(str(folder), f"{folder}/enhanced", "", models, outputs, JobCounts(), Progress())


def test_enhance_takes_the_cpus_that_come_when_it_has_begun(
    head_alone: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node comes when the sources are dealt out; each actor waits for another."""
    monkeypatch.setattr(graph, "Restorer", pools.Meeting)

    def dealt(items: list[dict[str, Any]]) -> Any:
        head_alone.add_node(num_cpus=3)
        return ray_rows.dataset(items)

    monkeypatch.setattr(graph, "dataset", dealt)
    restorer = str(tmp_path), None, 1, "cpu", None, None
    writer, pool = writer_below(tmp_path, []), graph.Pool(None, 0)
    receipts = list(graph.restored(FILMS, {}, pools.found, restorer, writer, pool))
    assert [receipt.reason for receipt in receipts] == ["True"] * len(FILMS)


@pytest.fixture
def local_ray() -> Iterator[None]:
    cluster.connect(cpus=2)
    yield
    cluster.disconnect()


def test_enhance_gives_up_a_film_at_which_the_decoder_never_returns(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three deaths of the process that reads it; the others are restored, each for longer
    than the limit."""
    settings = Settings()
    settings.clip.size, settings.clip.scale = 4 * enhancing.SIDE, 4
    settings.enhance.weights = str(enhancing.weights(tmp_path / "weights.safetensors", "f1"))
    networks = models.loaded(settings, Run(str(tmp_path)))
    films = enhancing.collection(tmp_path / "films", {"film.mp4": 5})
    sources = [
        Source(str(films / "film.mp4"), name, "a", "video")
        for name in ("a.mp4", "hangs.mp4", "z.mp4")
    ]
    wanted = Wanted(
        settings.clip.geometry(), Detection("aligned"), settings.clip.how_degraded(),
        (enhancing.SIDE,), 0, False,
    )  # fmt: skip
    progress, counts, limits = Progress(), JobCounts(), Limits(time_limit=3)
    reader = pools.Hanging(wanted, limits, counts, progress)
    monkeypatch.setattr(graph, "Restorer", pools.Slow)
    writer = writer_below(tmp_path, networks, "faces")
    restorer = networks, None, 16, "cpu", counts, progress
    found = graph.restored(sources, {}, reader, restorer, writer, graph.Pool(1, 0))
    receipts = {receipt.name: receipt for receipt in found}
    assert [len(receipts[source.name].tracks) for source in sources] == [1, 0, 1]
    assert "its process died 3 times" in receipts["hangs.mp4"].reason
    assert "more than 6 s" in receipts["hangs.mp4"].reason


def test_work_that_kills_its_process_is_given_up_by_the_counts_of_its_job(
    local_ray: None, tmp_path: Path
) -> None:
    """After three deaths, each of another process; what ended is counted no more."""
    counts, names = JobCounts(), ["a", "dies", "z"]
    task = partial(pools.die_if_told, counts, str(tmp_path))
    rows = ray_rows.each([{"name": name} for name in names], task, None)
    reasons = {row["name"]: row["reason"] for row in rows}
    assert "its process died 3 times" in reasons.pop("dies")
    assert reasons == {"a": "", "z": ""}
    tried = {name: (tmp_path / name).read_text().split() for name in names}
    assert {name: len(set(processes)) for name, processes in tried.items()} == {
        "a": 1, "dies": 3, "z": 1
    }  # fmt: skip
    assert [counts.of(name).begin() for name in names] == [0, 0, 0]
    assert [counts.of(name).begin() for name in names] == [1, 1, 1]


def test_the_counts_stay_with_the_driver_take_no_cpu_and_end_with_the_job(
    head_alone: Cluster,
) -> None:
    """The driver's node has no CPU, another has. Where the actor's process dies it counts anew."""
    head_alone.add_node(num_cpus=2)
    counts = JobCounts()
    assert [counts.of("a").begin() for _ in range(3)] == [0, 1, 2]
    actor = counts._actor._actor_id.hex()
    assert _told_of(actor)["Address"]["NodeID"] == ray.get_runtime_context().get_node_id()
    process = psutil.Process(_told_of(actor)["Pid"])
    process.kill()
    process.wait(PATIENCE)
    assert counts.of("a").begin() == 0
    cluster.disconnect()
    cluster.connect(head_alone.address)
    until(lambda: _told_of(actor)["State"] == "DEAD", "the end of the actor")


def _told_of(actor: str) -> dict[str, Any]:
    """What the cluster knows of an actor; its own client of this needs the dashboard."""
    return dict(ray._private.state.actors(actor))
