"""What is set for a whole process: how libraries behave is said here, and nowhere else.

`set_defaults` leaves alone what the user's environment says already.
"""

import os
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# For every client of object storage.
STORAGE = {
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "8",
    # As these clients did until 2025. Several servers beside AWS (rclone, older Ceph) answer a read
    # of a part with the checksum of the whole object, which then seems damaged.
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}

# What the workers of a cluster are told of the driver's environment about object storage: how to
# reach it. Nothing by which one gets in: what travels this way stands in Ray's logs, on command
# lines and in the answers of its dashboard. Nodes have credentials of their own.
PASSED_ON = (
    "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "FACESTACK_PATIENCE",
)  # fmt: skip

# Names of secrets, and the beginnings of those that something here does read.
SECRET = re.compile("SECRET|TOKEN|PASSW|CREDENTIAL|AUTH_SOCK|(API|ACCESS|PRIVATE|SECRET)_?KEY")
READ_HERE = ("AWS_", "RAY_", "FACESTACK_")

# Activations come and go by megabytes each step. Given back to the system each time, their pages
# have to be made again: a tenth of a step's processor time (f5, 64×64, one thread).
WORKER = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    # A thread that spins for one that waits for a core slows both down on a busy machine; one that
    # sleeps at once is late on a quiet one. So it spins for some 100 µs: a step of f5warp on two
    # threads took 0.40 – 0.45 s, as by default; asleep at once 0.50 – 0.61. With one of two cores
    # taken by another program it took 1.06 s; by default 1.27, asleep at once 0.92.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "10000",
}

TRAIN = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # It would show every printed line of a worker twice.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Workers may have to wait for another trial to end, or for a node to come up.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
    # The controller takes up one report a look, every 2 s by default; the next report waits for it.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    # Ray would hide all GPUs from a task that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Of a driver.
DRIVER = {
    # Ray's core writes what it calls errors past all logging, on the terminal, such as a page of
    # advice on each pool of actors. What matters of them is raised as well.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # That a worker died is told on the terminal, too; without colours, which a log keeps as codes.
    "RAY_COLOR_PREFIX": "0",
    # That a call is begun anew is no error. A stage that Ctrl-C ends takes its actors with it, and
    # each of their calls was said to be begun anew, which it never was.
    "RAY_enable_output_error_log_if_still_retry": "0",
}

# A Ray of this machine alone, as training met it on two cores (f5warp, one worker on two threads;
# its speed in that of a plain loop): 0.88 as it comes, for its workers yield to all other programs
# (niceness 15) and its dashboard reads the memory of every process each 5 s; 0.94 with the same
# rights as others; 0.98 when the dashboard reads seldom, too.
LOCAL_RAY = {
    "RAY_worker_niceness": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "15000",
    # Ray has more processes than cores and ends the one that waits for a second; the next takes 3 s
    # of a core to start. Forty films of 100 frames on one core: 96 s as it comes, 71 s so.
    "RAY_idle_worker_killing_time_threshold_ms": "30000",
    # What it remembers of tasks, a hundred thousand of them by default, for a page that shows some
    # hundreds: its memory grew by 50 MB over a thousand films.
    "RAY_task_events_max_num_task_in_gcs": "10000",
    # Nodes of a local Ray are not taken away, and the end of their watcher is told as an error.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}

# Where Ray Tune runs.
TUNE = {
    # Each trial's events are the monitor's; Tune's own copy would double every chart.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C ends the stage like any error: Tune's handler would return as if all trials had ended.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # its boxes say less than one line a trial
}


def set_defaults(variables: Mapping[str, str]) -> None:
    """Set what the environment does not say."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_secrets() -> Iterator[None]:
    """What is started in the block inherits no secret that nothing here reads, such as the tokens
    of a developer's shell: files of unknown origin are decoded there."""
    names = [name for name in os.environ if SECRET.search(name.upper())]
    taken = {name: os.environ.pop(name) for name in names if not name.startswith(READ_HERE)}
    try:
        yield
    finally:
        os.environ.update(taken)


def limit_threads(count: int) -> None:
    """Let PyTorch and OpenCV, as far as they are loaded, use so many threads of this process: Ray
    runs as many processes as there are cores."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(count)


# Private memory that a process may write to: of limits the one under which Ray's shared object
# store and what libraries only reserve do not count.
_MEMORY = resource.getrlimit(resource.RLIMIT_DATA)


@contextmanager
def limited_memory(megabytes: int) -> Iterator[None]:
    """Let this process take so much memory besides what it holds, while the block runs; more is a
    MemoryError. On Linux alone, which tells what it holds."""
    status = Path("/proc/self/status")
    if not status.exists():
        yield
        return
    held = int(status.read_text().split("VmData:")[1].split()[0]) << 10
    wanted = held + (megabytes << 20)
    bounds = [limit for limit in _MEMORY if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *bounds]), _MEMORY[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, _MEMORY)
