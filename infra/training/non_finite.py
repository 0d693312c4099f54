"""Updates left out because the loss or its gradient was NaN or infinite.

A few are no harm (one broken clip, a loss scale too high) and are counted; many in a row are a
training that will not recover, and it stops with the batch in a file.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from infra.errors import TrainingError

Keep = Callable[[str, dict[str, Tensor]], str]


class SkippedUpdates:
    """Counts them; raises TrainingError at `bound` in a row, after `keep(name, batch)` → where.

    The verdict on a step is read when the next one is under way, so a GPU never waits for it.
    """

    def __init__(self, bound: int, rank: int, keep: Keep | None, count: int = 0) -> None:
        self.bound, self.rank, self.keep, self.count = bound, rank, keep, count
        self.row = 0
        self.waiting: tuple[int, dict[str, Tensor], Tensor, torch.cuda.Event | None] | None = None

    def see(self, step: int, batch: dict[str, Tensor], finite: Tensor) -> None:
        """Take down a step's verdict, a bool tensor, and judge the step before it."""
        arrived = torch.cuda.Event() if finite.is_cuda else None
        verdict = finite.to("cpu", non_blocking=True)
        if arrived is not None:
            arrived.record()
        self.settle()
        self.waiting = (step, batch, verdict, arrived)

    def settle(self) -> None:
        """Judge the last step seen."""
        if self.waiting is None:
            return
        step, batch, verdict, arrived = self.waiting
        self.waiting = None
        if arrived is not None:
            arrived.synchronize()
        if bool(verdict):
            self.row = 0
            return
        self.count, self.row = self.count + 1, self.row + 1
        if self.row < self.bound:
            return
        kept = self.keep(f"bad-batch-{step}-{self.rank}", batch) if self.keep else "not kept"
        raise TrainingError(
            f"step {step}: the loss or its gradient is not finite, {self.row} steps in a row "
            f"(batch: {kept}); look at the batch, lower learning_rate or set clip_gradient"
        )
