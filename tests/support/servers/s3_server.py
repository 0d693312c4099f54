"""Servers that speak S3 on loopback, with one bucket, `archive`: rclone's and moto's."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import s3fs

from infra.cluster import free_port
from tests.support.waiting import until

USER, SECRET = "tester-of-facestack", "only-for-this-test-0123"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": USER,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
}
BINARIES = Path(sys.executable).parent


def leading_to(port: int) -> dict[str, str]:
    """The environment that points every client at the server on a port."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


@contextmanager
def reaching(variables: dict[str, str]) -> Iterator[None]:
    """This process, and those it starts, go by these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        # s3fs keeps clients, and with them the address of the server of the test before.
        s3fs.S3FileSystem.clear_instance_cache()
        yield
    s3fs.S3FileSystem.clear_instance_cache()


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether it is this process that listens: another may have taken the port meanwhile."""
    return any(
        found.status == psutil.CONN_LISTEN and found.laddr.port == port
        for found in psutil.Process(process.pid).net_connections()
    )


@contextmanager
def server(kind: str, folder: Path) -> Iterator[int]:
    """Gives the server's port; rclone serves `folder`/archive as it lies on the disk."""
    port = free_port()
    (folder / "archive").mkdir(parents=True, exist_ok=True)
    command: list[object] = {
        "rclone": [BINARIES / "rclone", "serve", "s3", "--auth-key", f"{USER},{SECRET}",
                   "--addr", f"127.0.0.1:{port}", folder],
        "moto": [BINARIES / "moto_server", "-H", "127.0.0.1", "-p", port],
    }[kind]  # fmt: skip
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: process.poll() is not None or _listens(process, port), "the S3 server")
        assert process.poll() is None, f"the S3 server ended with {process.returncode}"
        yield port
    finally:
        process.terminate()
        process.wait()
