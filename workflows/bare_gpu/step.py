"""The steps of workflows/gpu.py as data, and what every one of them is given."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.whole_file import whole_file

Figures = dict[str, Any]
# Hands over all figures that there are so far; what was handed over outlives the step.
Save = Callable[[Figures], None]


@dataclass(frozen=True)
class Step:
    """One step: its module has run(given, save) → figures and table(figures) → Markdown."""

    name: str
    about: str
    share: float  # of the minutes, in that of the others
    needs: tuple[str, ...] = ()  # modules without which it is left out
    package: str = "workflows.bare_gpu.steps"

    @property
    def module(self) -> str:
        """What its process imports."""
        return f"{self.package}.{self.name}"


STEPS = (
    Step("machine", "what is there", 0.8),
    Step("tests", "the tests that need a GPU, and the numeric ones on it", 1.2),
    Step("network", "how fast the networks restore", 1.5),
    Step("train", "how fast they train", 2.0),
    Step(
        "ray", "Ray Train with DeepSpeed, and enhancement on a Ray actor", 2.5, ("ray", "deepspeed")
    ),
    Step("training", "training at the paper's width on real faces", 7.0),
)


@dataclass(frozen=True)
class Given:
    """What a step is given; sizes are the paper's unless `tiny`."""

    out: str  # where results go
    work: str  # where runs are made, which do not come back
    parcels: str
    device: str
    tiny: bool
    seconds: float
    plan: str  # of the trainings
    weights: str  # variants whose weights come back

    def to_json(self) -> str:
        """For the step's own process."""
        return json.dumps(asdict(self))

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device == "cuda"


def write_whole(path: Path, text: str) -> None:
    """A text file that is the old one or the new one, whenever the process is killed."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
