"""What the workers of a local Ray have of the driver's environment."""

import json
import os
import subprocess
import sys

from tests.support.root import ROOT
from tests.support.waiting import PATIENCE

SECRETS = ("GITHUB_TOKEN", "DATABASE_PASSWORD", "SOMETHING_API_KEY", "SSH_AUTH_SOCK")
SCRIPT = """
import json, os, ray
from infra import cluster
cluster.connect(None, 1)
task = ray.remote(lambda: dict(os.environ))
print("RESULT" + json.dumps([ray.get(task.remote()), dict(os.environ)]))
cluster.disconnect()
"""


def test_a_worker_has_no_secret_that_nothing_here_reads() -> None:
    given = dict.fromkeys((*SECRETS, "AWS_SECRET_ACCESS_KEY", "FACESTACK_PLAIN"), "x")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env={**os.environ, **given}, text=True,
        capture_output=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    worker, driver = json.loads(done.stdout.split("RESULT")[1].splitlines()[0])
    assert not set(SECRETS) & set(worker)
    # What object storage is read with is needed, and the driver's own stay as they were.
    assert {"AWS_SECRET_ACCESS_KEY", "FACESTACK_PLAIN"} <= set(worker)
    assert set(SECRETS) <= set(driver)
