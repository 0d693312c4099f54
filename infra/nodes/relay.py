"""What workers say, on the driver's terminal: whole lines, each once, in order.

Ray's own way there (log_to_driver) puts the name of a process before each line, holds back lines
that resemble others, and brings along what every library writes. So it is off. A worker leaves its
line in the key-value store of the cluster, which its driver looks into; all that a worker writes
is in Ray's logs besides.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from typing import Any

from infra.nodes import terminal

SPACE = b"facestack"
PAUSE = 0.5  # seconds from one look to the next
_numbers = count()
_printing = threading.Lock()
_stop = threading.Event()
_stop.set()


def line(text: str) -> None:
    """Say a line: a worker leaves it to its driver, any other process shows it itself.

    What workers had said before comes before what their driver says.
    """
    ray = _connected()
    if ray is not None and ray._private.worker.global_worker.mode == ray.WORKER_MODE:
        _leave(ray, text)
        return
    catch_up()
    with _printing:
        terminal.put(text)


def start() -> None:
    """Show from now on what the workers of this driver's job say."""
    _stop.clear()
    threading.Thread(target=_watch, name="relay", daemon=True).start()


def stop() -> None:
    """Show what is still there, and look no more; call it before Ray is left."""
    catch_up()
    with _printing:
        _stop.set()


def catch_up() -> None:
    """Show what workers have said by now; nothing where this process is no driver at work."""
    ray = _connected()
    with _printing:
        if ray is not None and not _stop.is_set():
            _take(ray)


def _connected() -> Any:
    ray = sys.modules.get("ray")
    return ray if ray is not None and ray.is_initialized() else None


def _watch() -> None:
    while not _stop.wait(PAUSE):
        catch_up()


def _place(ray: Any) -> str:
    return f"said/{ray.get_runtime_context().get_job_id()}/"


def _leave(ray: Any, text: str) -> None:
    from ray.experimental import internal_kv

    # Of one process in order of their numbers, of several as their clocks say.
    key = f"{_place(ray)}{time.time_ns():020d}-{next(_numbers):09d}-{os.getpid()}"
    with suppress(Exception):  # a line that is lost is no reason to end a training
        internal_kv._internal_kv_put(key, text.encode("utf-8", "backslashreplace"), namespace=SPACE)


def _take(ray: Any) -> None:
    """Show and remove all lines; a cluster that is gone says nothing, and others say why."""
    from ray.experimental import internal_kv

    with suppress(Exception):
        for key in sorted(internal_kv._internal_kv_list(_place(ray), namespace=SPACE)):
            text = internal_kv._internal_kv_get(key, namespace=SPACE)
            internal_kv._internal_kv_del(key, namespace=SPACE)
            if text is not None:
                terminal.put(text.decode())
