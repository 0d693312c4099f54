"""Source and run folder in object storage, against a server that speaks S3 on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from datasets.synthetic import write_dataset
from tests.integration.conftest import run

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "only-for-this-test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[s3fs.S3FileSystem]:
    """A server with an empty bucket `archive`; the environment points every client at it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in CREDENTIALS.items():
                patch.setenv(name, value)
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            _wait_for(port)
            files = s3fs.S3FileSystem(skip_instance_cache=True)
            files.mkdir("archive")
            yield files
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.2)


def test_preprocess_from_bucket_to_bucket(bucket: s3fs.S3FileSystem, tmp_path: Path) -> None:
    for path in write_dataset(tmp_path, identities=4, clips=1, frames=29, size=32):
        bucket.put_file(str(path), f"archive/films/{path.relative_to(tmp_path)}")
    bucket.pipe_file("archive/films/person_000/broken.mp4", b"no film")
    arguments = ("preprocess.py", "--source", "s3://archive/films", "--run", "s3://archive/run",
                 "--clip.size", 32, "--preprocess.max-error-share", 0.5)  # fmt: skip
    ended = run(*arguments)
    assert ended.status == 0
    assert "sources 5" in ended.output
    assert "errors 1" in ended.output
    bucket.invalidate_cache()
    found = bucket.find("archive/run/clips")
    assert "archive/run/clips/stage.json" in found
    assert "archive/run/clips/errors.parquet" in found
    assert any(name.endswith(".parquet") and "/train/" in name for name in found)
    assert not any("/parts/" in name for name in found)
    again = run(*arguments)
    assert again.status == 0
    assert "[preprocess] complete since" in again.output
    for secret in (os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"]):
        assert secret not in ended.output + again.output
