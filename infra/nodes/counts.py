"""How often the work of a job was begun, in the memory of an actor: no request to storage for it.

What died with an earlier driver was not to blame, so that the numbers need not outlive the job.
"""

from dataclasses import dataclass
from typing import Any

from infra.attempts import Counter


class JobCounts:
    """Counts of the connected job by key; make it in the driver and give it to the tasks.

    The actor runs on the driver's node and takes no CPU. It is gone with the last copy of this
    object, at the latest with the job; where its process dies it begins anew, with nothing counted.
    """

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Counts)
        self._actor = actor.options(scheduling_strategy=here).remote()

    def of(self, key: str) -> Counter:
        """The counter of the work that `key` names."""
        return _JobCounter(self._actor, key)


@dataclass(frozen=True)
class _JobCounter:
    actor: Any
    key: str

    def begin(self) -> int:
        import ray

        return int(ray.get(self.actor.begin.remote(self.key)))

    def end(self) -> None:
        import ray

        ray.get(self.actor.end.remote(self.key))


class _Counts:
    """The actor."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}

    def begin(self, key: str) -> int:
        made = self.made.get(key, 0)
        self.made[key] = made + 1
        return made

    def end(self, key: str) -> None:
        self.made.pop(key, None)
