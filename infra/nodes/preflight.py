"""What a stage needs of the nodes of a cluster, asked before its work begins: a share of a node for
each of its workers, the run folder and the source.

Ray waits in silence for what no node can give, and a worker that reaches no storage says so late.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from infra import cluster, storage
from infra.errors import RunError, SettingsError
from infra.progress import say
from infra.text import number_of, one_line, without_credentials

GRACE = 10.0  # seconds in which a node may still join that was started beside this command
SPOKEN = 30.0  # from one line about what is waited for to the next
PATIENCE = 5.0  # of a node, with a storage that does not answer
NAMED = 3  # nodes that a refusal tells of
_later: "list[Needs]" = []  # of the stages that follow in the same command


@dataclass(frozen=True)
class Needs:
    """`workers` at once, each with `cpus` and `gpus` of one node; the folders that every node
    must read, and the run folder, which it must write too. `fields` are the settings to blame."""

    stage: str
    run: str
    cpus: float = 1
    gpus: float = 0
    workers: int = 1
    fields: str = ""
    reads: list[str] = field(default_factory=list)

    @property
    def share(self) -> dict[str, float]:
        """What one worker takes, as Ray names it."""
        return {n: v for n, v in (("CPU", self.cpus), ("GPU", self.gpus)) if v}

    def __str__(self) -> str:
        each = " and ".join(f"{value:g} {name}" for name, value in self.share.items())
        return f"{self.workers} × {each}" if self.workers > 1 else each


def expect(needs: list[Needs]) -> None:
    """Let the next `require` refuse also what stages after its own could not be given."""
    _later[:] = needs


def require(needs: Needs) -> None:
    """Return when the connected Ray can give what is needed, and its nodes see the run.

    A cluster that grows by itself is asked and waited for; what is waited for is said twice a
    minute. Raises SettingsError where no node that there is can give it and none is to come, and
    RunError where a node does not see the run folder or the source.
    """
    later, _later[:] = _later[:], []
    for other in later:
        _refuse_impossible(other)
    _wait(needs)
    if not cluster.is_local():
        _see(needs)


def _wait(needs: Needs) -> None:
    from ray.util import placement_group, remove_placement_group

    _refuse_impossible(needs)
    # It tells the autoscaler what is wanted, and ends with this process.
    group = placement_group([needs.share] * needs.workers)
    try:
        while not group.wait(SPOKEN):
            _refuse_impossible(needs)
            say(needs.stage, f"waiting for {needs}: {_there()}; `ray status` says what is to come")
    finally:
        remove_placement_group(group)


def _refuse_impossible(needs: Needs) -> None:
    deadline = time.monotonic() + (0 if cluster.is_local() else GRACE)
    while not (_grows() or _fit(needs)):
        if time.monotonic() > deadline:
            blamed = f" ({needs.fields})" if needs.fields else ""
            raise SettingsError(
                f"{needs.stage}: needs {needs}{blamed}, which "
                f"{'this machine' if cluster.is_local() else 'the cluster'} cannot give: {_there()}"
                ". Ask for less, or join a cluster that can (--cluster.address)"
            )
        time.sleep(0.5)


def _fit(needs: Needs) -> bool:
    """Whether all workers have room at once where nothing else is at work."""
    room = 0
    for node in _alive():
        have = node["Resources"]
        room += min(int(have.get(name, 0) / value + 1e-6) for name, value in needs.share.items())
    return room >= needs.workers


def _grows() -> bool:
    """Whether somebody starts nodes on demand: `ray up` and KubeRay name the kind of each node."""
    return any(node["Labels"].get("ray.io/node-group") for node in _alive()) or _old_autoscaler()


def _old_autoscaler() -> bool:
    """Whether the autoscaler before the second knows of kinds; without one each node is its own."""
    from ray.experimental.internal_kv import _internal_kv_get

    report = json.loads(_internal_kv_get("__autoscaling_status") or "{}").get("autoscaler_report")
    kinds = (report or {}).get("active_nodes", {})
    return any(not kind.startswith("node_") for kind in kinds)


def _alive() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _there() -> str:
    """The nodes that there are, those alike together."""
    kinds: dict[str, int] = {}
    for node in _alive():
        have = node["Resources"]
        said = f"{have.get('CPU', 0):g} CPU, {have.get('GPU', 0):g} GPU"
        kinds[said] = kinds.get(said, 0) + 1
    return (
        " and ".join(f"{number_of(count, 'node')} of {said}" for said, count in kinds.items())
        or "no node"
    )


def _see(needs: Needs) -> None:
    """Let each node that may get a worker read what this process writes, and write itself."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = storage.join(needs.run, ".seen")
    storage.remove(folder)  # of a command that was killed
    token = storage.join(folder, uuid.uuid4().hex)
    storage.write_bytes(token, b"seen")
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    asked = {}
    try:
        for node in _alive():
            if all(node["Resources"].get(name, 0) >= share for name, share in needs.share.items()):
                place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                answer = look.options(scheduling_strategy=place).remote(token, needs.reads)
                asked[answer] = node["NodeManagerAddress"]
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=2 * SPOKEN)
        if silent:
            names = ", ".join(asked[answer] for answer in silent[:NAMED])
            say(needs.stage, f"{len(silent)} nodes have not answered yet, such as {names}")
        blind = [f"node {asked[answer]}: {said}" for answer in answered if (said := _said(answer))]
    finally:
        storage.remove(folder)
    if blind:
        more = f"; and {len(blind) - NAMED} nodes more" if len(blind) > NAMED else ""
        remedy = (
            "Give a folder on a disk that all nodes share, or s3://" if storage.is_local(needs.run)
            else "Nodes need credentials of their own, which are not sent to them: an instance "
            "role, ~/.aws/credentials, or AWS_… where `ray start` is given"
        )  # fmt: skip
        raise RunError(f"{needs.stage}: {'; '.join(blind[:NAMED])}{more}. {remedy}")


def _said(answer: Any) -> str:
    import ray

    try:
        return str(ray.get(answer))
    except ray.exceptions.RayError as error:
        return one_line(error, 200)


def _look(token: str, reads: list[str]) -> str:
    """What is wrong here with the folder of the token or with one that is to be read, "" if
    nothing; a task on a node."""
    patience, storage.PATIENCE = storage.PATIENCE, PATIENCE
    at = token
    try:
        for at in reads:
            if not storage.exists(at):
                return f"does not see {at}"
        at = token.rsplit("/", 2)[0]
        storage.read_bytes(token)
        answer = f"{token}-{uuid.uuid4().hex}"
        storage.write_bytes(answer, b"seen")
        storage.remove(answer)
    except FileNotFoundError:
        return f"does not see {at}"
    except Exception as error:  # whatever it is, the driver tells it
        cause = error.__cause__ or error  # ours speaks of patience, and of what was written before
        return f"cannot use {at} ({without_credentials(one_line(cause, 200))})"
    finally:
        storage.PATIENCE = patience
    return ""
