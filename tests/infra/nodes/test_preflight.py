"""What a cluster cannot give is refused, unless it may grow to it. No Ray is started."""

from typing import Any

import pytest
import ray.util

from infra import cluster
from infra.errors import SettingsError
from infra.nodes import preflight
from infra.nodes.preflight import Needs, _refuse_impossible


def node(cpus: float, gpus: float = 0, **labels: str) -> dict[str, Any]:
    have = {name: value for name, value in (("CPU", cpus), ("GPU", gpus)) if value}
    return {"Alive": True, "Resources": have, "Labels": labels}


def refused(
    nodes: list[dict[str, Any]], patch: pytest.MonkeyPatch, local: bool = False, **needs: Any
) -> str:
    patch.setattr(preflight, "_alive", lambda: nodes)
    patch.setattr(preflight, "_old_autoscaler", lambda: False)
    patch.setattr(preflight, "GRACE", 0.0)
    patch.setattr(cluster, "is_local", lambda: local)
    try:
        _refuse_impossible(Needs("train", "r", **needs))
    except SettingsError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("nodes", "needs"),
    [
        ([node(2)], {"gpus": 1}),
        ([node(2), node(2)], {"cpus": 3}),
        ([node(0), node(8)], {"gpus": 0.5}),
        ([node(3), node(3)], {"cpus": 2, "workers": 3}),
        ([node(8), node(1, 1)], {"cpus": 2, "gpus": 1}),
        ([], {}),
    ],
)
def test_what_no_node_can_give(
    nodes: list[dict[str, Any]], needs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(nodes, monkeypatch, fields="train.gpus_per_worker 1", **needs)
    assert said.startswith("train: needs ")
    assert "(train.gpus_per_worker 1), which the cluster cannot give" in said


@pytest.mark.parametrize(
    ("nodes", "needs"),
    [
        ([node(0), node(2)], {"cpus": 2}),
        ([node(1), node(1)], {"workers": 2}),
        ([node(1, 1)], {"cpus": 0.3, "gpus": 0.1, "workers": 3}),
        # The kind of a node is named by who starts nodes on demand.
        ([node(0, **{"ray.io/node-group": "head"})], {"gpus": 1}),
    ],
)
def test_what_it_can_or_may_come(
    nodes: list[dict[str, Any]], needs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(nodes, monkeypatch, **needs) == ""


def test_it_says_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused([node(2), node(2), node(8, 1)], monkeypatch, cpus=9, workers=2)
    assert "needs 2 × 9 CPU, which the cluster cannot give: 2 nodes of 2 CPU, 0 GPU and 1" in said
    said = refused([node(2)], monkeypatch, local=True, gpus=1)
    assert "needs 1 CPU and 1 GPU, which this machine cannot give: 1 node of 2 CPU, 0 GPU" in said


def test_what_comes_later_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next stage that asks for something, once."""
    assert refused([node(2)], monkeypatch, local=True) == ""
    monkeypatch.setattr(preflight, "_wait", lambda needs: None)
    now = Needs("preprocess", "r")
    preflight.expect([now, Needs("train", "r", gpus=1)])
    with pytest.raises(SettingsError, match=r"^train: needs 1 CPU and 1 GPU"):
        preflight.require(now)
    preflight.expect([])
    preflight.require(now)


def test_a_cluster_that_grows_is_asked_and_waited_for_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The placement group tells the autoscaler what is wanted, and is given back."""
    asked: list[list[dict[str, float]]] = []
    answers = iter([False, False, True])

    class Group:
        def wait(self, seconds: float) -> bool:
            return next(answers)

    def group(bundles: list[dict[str, float]]) -> Group:
        asked.append(bundles)
        return Group()

    monkeypatch.setattr(ray.util, "placement_group", group)
    monkeypatch.setattr(ray.util, "remove_placement_group", lambda _: asked.append([]))
    monkeypatch.setattr(cluster, "is_local", lambda: False)
    monkeypatch.setattr(preflight, "_grows", lambda: True)
    monkeypatch.setattr(preflight, "_there", lambda: "1 node of 0 CPU, 0 GPU")
    preflight._wait(Needs("train", "run", cpus=2, workers=3))
    assert asked == [[{"CPU": 2}] * 3, []]
    line = "[train] waiting for 3 × 2 CPU: 1 node of 0 CPU, 0 GPU"
    assert [text.partition(";")[0] for text in capsys.readouterr().out.splitlines()] == [line] * 2
