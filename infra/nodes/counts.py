"""How often the work of a job was begun, and how it ended, in the memory of an actor: no request to
storage for it.

What died with an earlier driver was not to blame, so that the numbers need not outlive the job.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


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

    def of(self, key: str) -> "JobCounter":
        """The counter of the work that `key` names."""
        return JobCounter(self._actor, key)


@dataclass(frozen=True)
class JobCounter:
    """Counts the attempts at one piece of work, as `attempts.Counter` says."""

    actor: Any
    key: str

    def begin(self) -> int:
        import ray

        return int(ray.get(self.actor.begin.remote(self.key)))

    def end(self) -> None:
        import ray

        ray.get(self.actor.end.remote(self.key))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A death in this block, which waits for others, counts for nothing."""
        import ray

        ray.get(self.actor.undo.remote(self.key))
        yield
        ray.get(self.actor.begin.remote(self.key))

    def leave(self, word: dict[str, Any]) -> None:
        """Say how the work has ended, for whoever misses it: of a task that is begun again Ray
        drops what stands where the first attempt had given something."""
        import ray

        ray.get(self.actor.leave.remote(self.key, word))

    def left(self) -> dict[str, Any] | None:
        """What was said last; None for nothing."""
        import ray

        word: dict[str, Any] | None = ray.get(self.actor.left.remote(self.key))
        return word


class _Counts:
    """The actor."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.words: dict[str, dict[str, Any]] = {}

    def leave(self, key: str, word: dict[str, Any]) -> None:
        self.words[key] = word

    def left(self, key: str) -> dict[str, Any] | None:
        return self.words.get(key)

    def begin(self, key: str) -> int:
        made = self.made.get(key, 0)
        self.made[key] = made + 1
        return made

    def undo(self, key: str) -> None:
        self.made[key] = self.made.get(key, 1) - 1

    def end(self, key: str) -> None:
        self.made.pop(key, None)
