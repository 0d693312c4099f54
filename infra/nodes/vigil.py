"""Whether the head of the cluster is still there while a command works on it.

Ray waits a minute for a head that is gone, and then ends the process with status 1 and no word.
"""

import os
import sys
import threading
import time
from typing import NoReturn

from infra.errors import FaultError
from infra.nodes import terminal
from infra.nodes.presence import answers

PAUSE = 1.0  # seconds from one look to the next
SPOKEN = 10.0  # of silence, before it is said
RAY_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"
_left = threading.Event()  # set when the cluster that is looked after has been left


def start() -> None:
    """Look after the head of the connected Ray from now on; end the process when it is gone."""
    global _left
    import ray

    _left = threading.Event()  # of this cluster: who looks after one before may not be done yet
    address = ray.get_runtime_context().gcs_address
    # A little less than Ray, which may be told to wait longer for a head that comes back.
    patience = max(SPOKEN, float(os.environ.get(RAY_WAITS, 60)) - SPOKEN)
    watched = (address, patience, _left)
    threading.Thread(target=_watch, args=watched, name="vigil", daemon=True).start()


def stop() -> None:
    """Look after it no more; call it when Ray has been left."""
    _left.set()


def _watch(address: str, patience: float, left: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    seen = time.monotonic()
    spoken = False
    while not left.wait(PAUSE):
        if answers(host.strip("[]"), int(port)):
            seen, spoken = time.monotonic(), False
            continue
        silent = time.monotonic() - seen
        if silent > patience:
            _end(address, silent)
        if silent > SPOKEN and not spoken:
            # Not by `say`, which would ask the head for what workers have said.
            terminal.put(f"[cluster] its head, {address}, does not answer; waiting for it")
            spoken = True


def _end(address: str, silent: float) -> NoReturn:
    """End the process as an error would: nothing that waits for the head comes back from there."""
    terminal.leave()
    print(
        f"error: the head of the cluster, {address}, has not answered for {silent:.0f} s; what was "
        "done is kept, and the same command goes on from there",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    os._exit(FaultError.status)
