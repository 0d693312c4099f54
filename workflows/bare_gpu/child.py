"""The process of one step: `python -m workflows.bare_gpu.child MODULE FIGURES.json GIVEN`."""

import importlib
import json
import sys
from pathlib import Path

from workflows.bare_gpu.step import Figures, Given, write_whole


def run(module: str, figures: Path, given: Given) -> None:
    """Run a step; what it hands over is in the file at once, and as it reads on the page."""
    step = importlib.import_module(module)

    def save(found: Figures) -> None:
        write_whole(figures, json.dumps({"figures": found, "text": step.table(found)}))

    save(step.run(given, save))


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Given(**json.loads(sys.argv[3])))
