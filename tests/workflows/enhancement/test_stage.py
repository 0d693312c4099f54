"""What the stage needs of a cluster, and of a process."""

import subprocess
import sys

import pytest

from infra.runs import Run
from infra.settings.settings import Settings
from workflows.enhancement.stage import needs


def test_every_node_is_to_see_the_films_and_all_weights() -> None:
    """Workers of any node load them; files of the driver's disk alone would end it on pages."""
    settings, run = Settings(source="/films"), Run("/run")
    assert needs(settings, run).reads == ["/films", "/run/train/f5warp/weights.safetensors"]
    settings.enhance.weights, settings.enhance.models = "/w.safetensors", ["s3://b/m.safetensors"]
    assert needs(settings, run).reads == ["/films", "/w.safetensors", "s3://b/m.safetensors"]


@pytest.mark.integration  # four seconds of imports
def test_what_restores_does_not_import_the_compiler() -> None:
    """It takes over a second of each process."""
    code = "import sys, workflows.enhancement.stage; print('torch._dynamo' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
