"""Ray's dashboard does not start: its process ends at once. A line says so, and the run goes on."""

from pathlib import Path

from tests.integration.conftest import TINY, Ended, run

DIES = """import os, sys
if any(word.endswith("dashboard/dashboard.py") for word in sys.orig_argv):
    os._exit(3)
"""


def test_a_line_and_the_run_goes_on(tmp_path: Path) -> None:
    """Ray Data in preprocess, Ray Train in recogniser."""
    (tmp_path / "sitecustomize.py").write_text(DIES)

    def ended(script: str) -> Ended:
        return run(script, "--config", TINY, "--run", tmp_path / "run", PYTHONPATH=str(tmp_path))

    for name in ("preprocess", "recogniser"):
        done = ended(f"{name}.py")
        assert done.status == 0
        lines = done.output.splitlines()
        assert lines.count("[cluster] Ray's dashboard did not start; going on without it") == 1
        assert [line for line in lines if not line.startswith(("[cluster]", f"[{name}]"))] == []
