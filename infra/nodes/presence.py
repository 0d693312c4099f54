"""Whether a cluster is there at all, asked before Ray is, which waits for it in silence."""

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from infra.errors import SettingsError
from infra.text import one_line

SECONDS = 5.0  # to wait for each answer
CORE = re.compile(rb"\[\d{4}-\d\d-\d\d [\d:,.]+ [IWE] \d+ \d+\] ")


def refuse_dead(address: str) -> None:
    """Raise SettingsError where nothing answers at the address of a cluster, `host:port` or `auto`,
    and where no node of it is alive."""
    from ray._private.services import canonicalize_bootstrap_address

    if address.startswith("ray://"):
        raise unreachable(address, "Ray Client runs neither Ray Data nor Ray Tune; give host:port")
    try:
        place = canonicalize_bootstrap_address(address)
    except (ConnectionError, OSError, ValueError) as error:
        raise unreachable(address, one_line(error, 200)) from error
    if place is None:
        raise unreachable(address, "no Ray was started on this machine")
    _reach(address, place)
    with without_lines_of_the_core():
        nodes = _nodes(address, place)
    if not any(answers(host, port) for host, port in nodes):
        raise unreachable(address, "its head answers, but no node of it is alive")


def unreachable(address: str, why: str) -> SettingsError:
    """The error where a cluster cannot be joined."""
    return SettingsError(
        f"cluster.address {address}: {why}. Start Ray there (`ray start --head`), correct "
        "--cluster.address or RAY_ADDRESS, or unset it for a Ray of this machine"
    )


@contextmanager
def without_lines_of_the_core() -> Iterator[None]:
    """Keep what Ray's core writes past all logging, while it starts, off the terminal.

    Whatever else comes to standard error in the meantime follows at the end.
    """
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            kept.seek(0)
            for line in kept:
                if not CORE.match(line):
                    os.write(2, line)


def _reach(address: str, place: str) -> None:
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        raise unreachable(address, "expected host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except socket.gaierror as error:
        raise unreachable(address, f"the host {host} is not known ({error.strerror})") from error
    except (OSError, OverflowError) as error:
        raise unreachable(address, f"nothing answers there ({one_line(error)})") from error


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    with suppress(OSError):
        socket.create_connection((host, port), SECONDS).close()
        return True
    return False


def _nodes(address: str, place: str) -> list[tuple[str, int]]:
    """Host and port of each node that the head takes to be alive."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.exceptions import AuthenticationError, RpcError

    try:
        found = GcsClient(address=place).get_all_node_info(timeout=SECONDS).values()
    except AuthenticationError as error:
        said = "it wants a token that this process does not show; set RAY_AUTH_MODE=token"
        raise unreachable(address, said) from error
    except RpcError as error:
        raise unreachable(address, f"its head does not answer ({one_line(error, 120)})") from error
    return [(node.node_manager_address, node.node_manager_port) for node in found if not node.state]
