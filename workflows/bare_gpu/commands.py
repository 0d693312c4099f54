"""Commands of ours that a step runs, as a user would."""

import gc
import subprocess
import sys
import time
from dataclasses import dataclass

from workflows.bare_gpu.driver import ROOT

TAIL = 300


@dataclass(frozen=True)
class Done:
    """How a command ended; `said` is what it printed, where that was caught."""

    status: int
    seconds: float
    said: str = "log.txt says why"

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


class Here:
    """Runs the entry points of stages in this process, which has loaded PyTorch and taken the GPU
    already: seconds each, where there are minutes. After one that failed, each has a process of its
    own again: a GPU's error stays with the process that met it."""

    def __init__(self) -> None:
        import torch

        self.threads = torch.get_num_threads()
        self.apart = False

    def call(self, script: str, *words: str) -> Done:
        """As `call`."""
        if self.apart:
            return call(script, *words)
        import torch

        from workflows.shared.command import main

        print(f"$ {script} {' '.join(words)}", flush=True)
        torch.set_num_threads(self.threads)  # measuring takes one a thread of its own
        begun, given = time.monotonic(), sys.argv
        sys.argv = [script, *words]
        try:
            status = main([script.removesuffix(".py")], "")
        finally:
            sys.argv = given
        gc.collect()
        if torch.cuda.is_available() and not status:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()  # what the next one says of memory is its own
        self.apart = status != 0
        return Done(status, time.monotonic() - begun)
