"""Commands of ours that a step runs, as a user would."""

import subprocess
import sys
import time
from dataclasses import dataclass

from workflows.bare_gpu.driver import ROOT

TAIL = 300


@dataclass(frozen=True)
class Done:
    """How a command ended; `said` is what it printed."""

    status: int
    seconds: float
    said: str

    def figures(self) -> dict[str, object]:
        """For the results; with the end of what was said where it failed."""
        found: dict[str, object] = {"status": self.status, "seconds": round(self.seconds, 1)}
        if self.status:
            found["why"] = self.said.strip()[-TAIL:]
        return found


def command(script: str, *words: str) -> list[str]:
    """The call of an entry point."""
    return [sys.executable, str(ROOT / "workflows" / script), *words]


def call(script: str, *words: str) -> Done:
    """Run an entry point to its end; what it says is also in this step's log."""
    begun = time.monotonic()
    done = subprocess.run(
        command(script, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    print(f"$ {script} {' '.join(words)}\n{done.stdout}", flush=True)
    return Done(done.returncode, time.monotonic() - begun, done.stdout)
