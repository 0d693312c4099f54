"""Three tiers.

unit         pytest -m "not integration and not gpu" tests   (no Ray, under 60 s)
integration  pytest -m integration tests   (real Ray, real S3 server)
gpu          pytest -m gpu tests           (skips without a CUDA device)

Real faces are found through FACESTACK_FACES; without it the tests that need them skip, and drawn
faces stand in.
"""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# No test fetches anything, and none takes what its user has by chance: a model of a detector that
# was not given is refused at once, in the commands that tests start too.
os.environ.pop("FACESTACK_MODELS", None)
os.environ |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")

# Hypothesis fails what takes longer than it thinks right; a busy machine takes longer. The same
# examples each time, so that a change is judged by what it changed; others: --hypothesis-profile
# search.
patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("search", **patient)
settings.register_profile("same", derandomize=True, **patient)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors: threads cost more than they bring, and results stay the same everywhere."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test draws the same alone and among others, whatever threads and numbers those took."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def faces() -> Path:
    """The folder of real faces, where the machine has it."""
    folder = os.environ.get("FACESTACK_FACES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FACESTACK_FACES names no folder of real faces")
    return Path(folder)
