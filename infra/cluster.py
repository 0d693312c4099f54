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
from infra.nodes import presence, relay, vigil
from infra.progress import say
from infra.provenance import ROOT
from infra.text import one_line, without_credentials


def connect(address: str | None = None, cpus: int | None = None, dashboard: bool = True) -> None:
    """Start, with or without its dashboard, or join Ray once; further calls change nothing.

    A job submitted with `ray job submit` already carries its working directory and environment;
    any other driver hands its own to the workers, so that they import this checkout; of the
    environment, what they need and is no secret. Raises SettingsError where no cluster answers.
    """
    import ray

    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    process.set_defaults(process.TRAIN | process.WORKER | process.DRIVER)
    if address and address != "local":
        _join(address)
    else:
        _start(cpus, dashboard)
    _quiet_data()
    relay.start()
    vigil.start()


def is_local() -> bool:
    """Whether the connected Ray was started by this process, on this machine alone."""
    import ray

    return bool(ray._private.worker._global_node.head)


def _join(address: str) -> None:
    """Raises SettingsError, in place of Ray's silence of minutes, where nobody is there."""
    variables = {name: os.environ[name] for name in process.WORKER}
    for name in process.PASSED_ON:
        value = os.environ.get(name, "")
        if value and value == without_credentials(value):
            variables[name] = value
    presence.refuse_dead(address)
    try:
        _init(address, None, variables, None)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        raise presence.unreachable(address, one_line(error, 200)) from error


def resources() -> dict[str, float]:
    """What the connected Ray counts on its nodes: CPU, GPU, …"""
    import ray

    return dict(ray.cluster_resources())


def _start(cpus: int | None, dashboard: bool) -> None:
    """A Ray of this machine; without its dashboard where that does not start."""
    import ray

    process.set_defaults(process.LOCAL_RAY)
    # Ray Train's cleaner looks for "the" Ray of this host; with two of them it must be told.
    port = str(free_port())
    os.environ["RAY_GCS_SERVER_PORT"] = port
    variables = {"RAY_ADDRESS": f"{ray.util.get_node_ip_address()}:{port}"}
    # What the dashboard leaves behind where it does not start: a page. What else does not, raises.
    logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)
    # "local", for without it Ray also joins what a cluster that is long dead has left behind.
    with process.without_secrets():  # which a local Ray would inherit
        found = _init("local", cpus, variables, None if dashboard else False)  # True: or raise
    if dashboard and not found:
        say("cluster", "Ray's dashboard did not start; going on without it")


def _init(address: str, cpus: int | None, variables: dict[str, str], dashboard: bool | None) -> str:
    """Returns the address of the dashboard, "" where there is none."""
    import ray

    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = variables | {"PYTHONPATH": os.pathsep.join(path)}
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    with presence.without_lines_of_the_core():
        context = ray.init(
            address=address,
            num_cpus=cpus,
            include_dashboard=dashboard,
            runtime_env=None if in_job else {"env_vars": variables},
            logging_level=logging.ERROR,
            log_to_driver=False,  # infra/nodes/relay.py brings what workers say
            configure_logging=True,
        )
    return str(context.dashboard_url or "")


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
        relay.stop()
        ray.shutdown()
        vigil.stop()


def _quiet_data() -> None:
    """Leave progress to the stages: Ray Data's own is a dozen lines every few seconds, and its
    advice on memory, that of a film's decoder, a page."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.issue_detectors_config.detectors = []
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # It warns once of the bars that are missing.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
