"""A step for the driver's tests: it has figures, starts a process, and does not end."""

import subprocess
import sys
import time
from pathlib import Path

from workflows.bare_gpu.step import Figures, Given, Save


def run(given: Given, save: Save) -> Figures:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(given.work, "slow.pid").write_text(str(process.pid))
    save({"pid": process.pid})
    time.sleep(600)
    return {}


def table(figures: Figures) -> str:
    return "slow"
