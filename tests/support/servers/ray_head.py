"""A cluster that was started beside the driver, by `ray start`, with an environment of its own.

Its processes are in a session of their own each, and end with the block.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ray._raylet import GcsClient

from tests.support.servers.s3_server import BINARIES, free_port
from tests.support.waiting import until

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass
class Started:
    """Where a cluster is, with its dashboard, its logs, and the process of each node."""

    address: str
    dashboard: str
    folder: Path
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self, *options: object, before: tuple[str, ...] = (), **variables: str) -> None:
        """Start one more node and wait until its head knows it."""
        known = self._alive()
        self._start(["--address", self.address, *options], before, variables)
        self._wait_for(known + 1)

    def _start(
        self, options: list[object], before: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        # Else a node whose host has another Ray gets the agent's port no more, and takes no job.
        apart = ["--dashboard-agent-listen-port", 0, "--disable-usage-stats"]
        command = [*before, BINARIES / "ray", "start", "--block", *apart, *options]
        environment = {k: v for k, v in os.environ.items() if k not in CREDENTIALS} | variables
        with self._said.open("ab") as said:
            node = subprocess.Popen(
                [str(part) for part in command], env=environment, start_new_session=True,
                stdout=said, stderr=said,
            )  # fmt: skip
        self.nodes.append(node)

    @property
    def _said(self) -> Path:
        """What the nodes say when they start."""
        return self.folder / "said by ray start"

    def _alive(self) -> int:
        try:
            nodes = GcsClient(address=self.address).get_all_node_info(timeout=5)
        except Exception:  # it is not there yet
            return 0
        return sum(not node.state for node in nodes.values())

    def _wait_for(self, count: int) -> None:
        node = self.nodes[-1]
        until(lambda: self._alive() >= count or node.poll() is not None, "the node", pause=0.2)
        assert node.poll() is None, f"the node ended: {self._said.read_text()}"

    def pids(self) -> set[int]:
        """All processes of the cluster."""
        sessions = {node.pid for node in self.nodes}
        return {int(p.name) for p in Path("/proc").glob("[0-9]*") if session_of(p) in sessions}

    def kill_raylet(self) -> None:
        """Leave nothing of a cluster of one node but its GCS."""
        self._kill_one(b"raylet/raylet\0")

    def kill_gcs(self) -> None:
        """Leave a cluster whose head no longer answers; the raylets are there.

        A driver whose own raylet ends is ended by Ray on the spot, at some moments.
        """
        end(self.nodes[0].pid)  # `ray start` would end its raylet too
        self._kill_one(b"gcs/gcs_server\0")

    def _kill_one(self, program: bytes) -> None:
        for pid in self.pids():
            with suppress(OSError):  # it has ended since
                if program in Path(f"/proc/{pid}/cmdline").read_bytes():
                    end(pid)

    def kill(self) -> None:
        """End every process of the cluster."""
        for pid in self.pids():
            end(pid)
        for node in self.nodes:
            node.wait()


def session_of(process: Path) -> int:
    """The session of a process of /proc, 0 where it has ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def end(pid: int) -> None:
    """SIGKILL a process that may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def head(*options: object, port: int = 0, **variables: str) -> Iterator[Started]:
    """A head on loopback with the options of `ray start`; no credentials but those of `variables`
    are in the environment of its nodes."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: its sockets are below it
    port, web, client = port or free_port(), free_port(), free_port()
    started = Started(f"127.0.0.1:{port}", f"http://127.0.0.1:{web}", folder)
    ports = ["--port", port, "--dashboard-port", web, "--ray-client-server-port", client]
    place = ["--node-ip-address", "127.0.0.1", "--temp-dir", folder]
    try:
        started._start(["--head", *ports, *place, *options], (), variables)
        started._wait_for(1)
        yield started
    finally:
        started.kill()
        shutil.rmtree(folder, ignore_errors=True)
