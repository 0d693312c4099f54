"""Connecting to Ray: a job's cluster, a running one by address, or a local one.

Ray is imported when it is first needed: with `--engine torch` it need not be installed.
"""

import logging
import os
import random
import socket
import sys
from contextlib import suppress
from typing import Any

from infra import process, storage
from infra.provenance import ROOT


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
    process.set_defaults(process.TRAIN | process.WORKER)
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {"PYTHONPATH": os.pathsep.join(path)}
    if not address:
        process.set_defaults(process.LOCAL_RAY)
        # Ray Train's cleaner looks for "the" Ray of this host; with two of them it must be told.
        port = str(free_port())
        os.environ["RAY_GCS_SERVER_PORT"] = port
        variables["RAY_ADDRESS"] = f"{ray.util.get_node_ip_address()}:{port}"
    else:  # The workers of a local Ray inherit the driver's environment as it is.
        passed = (*process.PASSED_ON, *process.WORKER)
        variables |= {name: os.environ[name] for name in passed if name in os.environ}
    start = process.without_secrets()(ray.init)  # which a local Ray would inherit
    start(
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


def place(uri: str) -> tuple[str, Any]:
    """Path and file system by which Ray is to reach a file or folder; None is its own choice.

    Object storage through s3fs, as everywhere else here: pyarrow's client, Ray's choice, makes an
    empty object of each folder, which not every server takes, and finds no key with a space (both
    seen with rclone's server).
    """
    if storage.is_local(uri):
        return uri, None
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    filesystem, path = storage.file_system(uri)
    return path, PyFileSystem(FSSpecHandler(filesystem))


def free_port() -> int:
    """A TCP port of this machine that nothing listens on at the moment.

    It is none of those that the system gives to whoever asks for any, as all processes of Ray do,
    nor of those of Ray's workers: seconds pass until it is bound, on a busy machine many.
    """
    chance = random.SystemRandom()  # others may have seeded the common one alike
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port := chance.randrange(20_000, 30_000)))
            return port


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
