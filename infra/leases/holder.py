"""Who holds a lease, and whether that process still lives, where this machine can tell."""

import json
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra.text import one_line

PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """What stands in a lease."""

    command: str
    host: str
    process: int
    since: str
    machine: str  # which kernel counts the process; "" where that is not to be told
    started: int  # when the process started, in ticks of that kernel
    token: str  # of this one lease, whoever takes it
    beat: int  # how many signs of life it has given

    @classmethod
    def here(cls, command: str) -> "Holder":
        """This process, with a lease of its own."""
        return cls(
            command=command,
            host=socket.gethostname(),
            process=os.getpid(),
            since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            machine=machine(),
            started=0 if (found := _state(os.getpid())) is None else found[1],
            token=uuid.uuid4().hex,
            beat=0,
        )

    @classmethod
    def read(cls, content: bytes) -> "Holder | None":
        """What a lease says; None where it is none, as where its writer was killed."""
        try:
            found = cls(**json.loads(content))
            return replace(found, process=int(found.process), started=int(found.started))
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None

    def content(self) -> bytes:
        """What `read` reads."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    def again(self) -> "Holder":
        """The same, with one sign of life more."""
        return replace(self, beat=self.beat + 1)

    def lives(self) -> bool | None:
        """Whether the process lives, and is not another one that got its number; None where this
        machine cannot tell."""
        if not self.machine or (self.host, self.machine) != (socket.gethostname(), machine()):
            return None
        try:
            os.kill(self.process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # another user's
        found = _state(self.process)
        # The dead who are not buried yet are gone; what /proc hides, as it may, cannot be told.
        return None if found is None else found[0] not in "ZX" and found[1] == self.started

    def __str__(self) -> str:
        return one_line(
            f"{self.command}, process {self.process} on {self.host}, since {self.since}", 300
        )


def machine() -> str:
    """The running kernel and what part of its processes is seen from here.

    The name of the host is not enough: two containers may have the same one, and each a process 7.
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _state(process: int) -> tuple[str, int] | None:
    """A process's state, a letter, and when it started, in ticks since the start of its kernel."""
    try:
        # The name before the last bracket may itself hold brackets and spaces.
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])
