"""Connecting to Ray: a job's cluster, a running one by address, or a local one.

Ray is imported when it is first needed: with `--engine torch` it need not be installed.
"""

import logging
import os
import socket
import sys
from typing import Any

from fsspec.core import url_to_fs

from infra import storage
from infra.provenance import ROOT

# What the workers of a cluster need from the driver's environment for object storage.
PASSED_ON = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION", "AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION",
    "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "FACESTACK_PATIENCE",
)  # fmt: skip

# Activations come and go by megabytes each step. Given back to the system each time, their pages
# have to be made again: a tenth of a step's processor time (f5, 64×64, one thread).
WORKER_DEFAULTS = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    # A thread that spins for one that waits for a core slows both down on a busy machine; one that
    # sleeps at once is late on a quiet one. So it spins for some 100 µs: a step of f5warp on two
    # threads took 0.40 – 0.45 s, as by default; asleep at once 0.50 – 0.61. With one of two cores
    # taken by another program it took 1.06 s; by default 1.27, asleep at once 0.92.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "10000",
}

TRAIN_DEFAULTS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # It would show every printed line of a worker twice.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Workers may have to wait for another trial to end, or for a node to come up.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
    # The controller takes up one report a look, every 2 s by default; the next report waits for it.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
}

# A Ray of this machine alone, as training met it on two cores (f5warp, one worker on two threads;
# its speed in that of a plain loop): 0.88 as it comes, for its workers yield to all other programs
# (niceness 15) and its dashboard reads the memory of every process each 5 s; 0.94 with the same
# rights as others; 0.98 when the dashboard reads seldom, too.
LOCAL_DEFAULTS = {
    "RAY_worker_niceness": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "15000",
    # Nodes of a local Ray are not taken away, and the end of their watcher is told as an error.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


def connect(address: str | None = None, cpus: int | None = None) -> None:
    """Start or join Ray once; further calls change nothing.

    A job submitted with `ray job submit` already carries its working directory and environment;
    any other driver hands its own to the workers, so that they import this checkout.
    """
    import ray

    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    set_train_defaults()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for name, value in WORKER_DEFAULTS.items():
        os.environ.setdefault(name, value)
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {"PYTHONPATH": os.pathsep.join(path)}
    if not address:
        for name, value in LOCAL_DEFAULTS.items():
            os.environ.setdefault(name, value)
        # Ray Train's cleaner looks for "the" Ray of this host; with two of them it must be told.
        port = str(free_port())
        os.environ["RAY_GCS_SERVER_PORT"] = port
        variables["RAY_ADDRESS"] = f"{ray.util.get_node_ip_address()}:{port}"
    else:  # The workers of a local Ray inherit the driver's environment as it is.
        passed = (*PASSED_ON, *WORKER_DEFAULTS)
        variables |= {name: os.environ[name] for name in passed if name in os.environ}
    ray.init(
        # "local", for without it Ray also joins what a cluster that is long dead has left behind.
        address=address or "local",
        num_cpus=None if address else cpus,
        include_dashboard=None if address else True,
        runtime_env=None if in_job else {"env_vars": variables},
        logging_level=logging.ERROR,
        log_to_driver=True,
        configure_logging=True,
    )
    _quiet_data()


def set_train_defaults() -> None:
    """Tell Ray Train how to run, in the process that makes a trainer: the driver, or a trial."""
    for name, value in TRAIN_DEFAULTS.items():
        os.environ.setdefault(name, value)


def place(uri: str) -> tuple[str, Any]:
    """Path and file system by which Ray is to reach a file or folder; None is its own choice.

    Object storage through s3fs, as everywhere else here: pyarrow's client, Ray's choice, makes an
    empty object of each folder, which not every server takes, and finds no key with a space (both
    seen with rclone's server).
    """
    if storage.is_local(uri):
        return uri, None
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    filesystem, path = url_to_fs(uri)
    return path, PyFileSystem(FSSpecHandler(filesystem))


def free_port() -> int:
    """A TCP port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def cpu_count() -> int:
    """CPUs of the connected cluster."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def gpu_count() -> int:
    """GPUs of the connected cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def disconnect() -> None:
    """Leave Ray, and stop it where this process started it."""
    ray = sys.modules.get("ray")
    if ray is not None:
        ray.shutdown()


def _quiet_data() -> None:
    """Leave progress to the stages: Ray Data's own is a dozen lines every few seconds."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
