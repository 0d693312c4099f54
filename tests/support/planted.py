"""Files that leave a sign when they are unpickled, and trials of a search that take no time."""

import pickle
import random
from pathlib import Path
from typing import Any


class Planted:
    """Touches a file in whoever unpickles it."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sign,)


def plant(path: Path, sign: Path) -> None:
    """Put a pickle where a program of ours, or of others, may look for one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(Planted(sign)))


def quick_trial(config: dict[str, Any], settings: Any, run: Any) -> None:
    """Stands for the trial of a search: reports once."""
    import ray.tune  # which the tests of files need not load

    ray.tune.report(
        {"validation_psnr": 20 + random.random(), "validation_verification": 80.0, "step": 4}
    )
