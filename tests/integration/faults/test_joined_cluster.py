"""A cluster that is joined by address: no secret travels to it, and what it cannot do is said in
one line within seconds."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._private.authentication_test_utils import reset_auth_token_state

from datasets.drawn.dataset import write_dataset
from infra import cluster
from infra.errors import FacestackError, RunError, SettingsError
from infra.nodes import preflight
from infra.nodes.preflight import Needs, require
from tests.integration.conftest import TINY, Ended, run, run_and_signal
from tests.support.root import ROOT
from tests.support.servers.ray_head import Started, head
from tests.support.servers.s3_server import BINARIES, SECRET, USER, free_port, leading_to, server
from tests.support.waiting import PATIENCE

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")
FILMS = 4
ANSWERS = (
    "/api/version", "/api/cluster_status", "/api/component_activities", "/api/jobs/",
    "/api/v0/actors?detail=1", "/api/v0/jobs?detail=1", "/api/v0/nodes?detail=1",
    "/api/v0/runtime_envs?detail=1", "/api/v0/tasks?detail=1", "/api/v0/workers?detail=1",
    "/api/v0/placement_groups?detail=1", "/api/train/v2/runs/v1", "/api/data/datasets",
    "/nodes?view=details", "/nodes?view=summary", "/logical/actors",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def no_login() -> Iterator[None]:
    """An account in which a Ray was started before has a token, and its clusters ask for it.

    Ray reads the variable once a process: told of the change, it starts clusters of the tests that
    follow in the mode in which it then speaks to them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        reset_auth_token_state()
        yield
    reset_auth_token_state()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A bucket with films; the variables that lead there."""
    folder = tmp_path_factory.mktemp("server")
    write_dataset(folder / "archive/films", identities=FILMS, clips=1, frames=29, size=32)
    with server("rclone", folder) as port:
        yield leading_to(port)


def preprocess(joined: Started, name: str, variables: dict[str, str]) -> Ended:
    return run(
        "preprocess.py", "--source", "s3://archive/films", "--clip.size", 32, "--run",
        f"s3://archive/{name}", "--cluster.address", joined.address, **variables,
    )  # fmt: skip


def credentials_file(folder: Path) -> dict[str, str]:
    """Credentials as a file, and the variable that names it."""
    file = folder / "credentials"
    file.write_text(f"[default]\naws_access_key_id={USER}\naws_secret_access_key={SECRET}\n")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file)}


def answers(joined: Started) -> bytes:
    """What the dashboard tells anybody who asks."""
    told, refused = b"", 0
    for path in ANSWERS:
        try:
            with urllib.request.urlopen(joined.dashboard + path, timeout=PATIENCE) as answer:
                told += answer.read()
        except urllib.error.HTTPError as error:
            told += error.read()
            refused += 1
    assert refused < len(ANSWERS) / 2  # else other questions are to be asked
    return told


def test_no_secret_is_in_logs_command_lines_and_answers(
    bucket: dict[str, str], tmp_path: Path
) -> None:
    with head("--num-cpus", 2, **credentials_file(tmp_path)) as joined:
        ended = preprocess(joined, "own", bucket)
        assert ended.status == 0
        assert f"sources {FILMS}" in ended.output
        told = answers(joined)
        assert b"AWS_ENDPOINT_URL" in told  # what is no secret went there, and would be found
        lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in joined.pids())
        assert b"raylet" in lines
        logs = [path for path in joined.folder.rglob("*") if path.is_file()]
        assert any(path.name.startswith("worker") for path in logs)
        written = b"".join(path.read_bytes() for path in logs)
    for place, text in {"answers": told, "lines": lines, "logs": written}.items():
        assert SECRET.encode() not in text, place
        assert USER.encode() not in text, place


def test_a_node_without_credentials_is_named(bucket: dict[str, str]) -> None:
    with head("--num-cpus", 2, AWS_EC2_METADATA_DISABLED="true") as joined:
        ended = preprocess(joined, "none", bucket)
    assert ended.status == 2
    (line,) = (line for line in ended.output.splitlines() if "rror" in line)
    said = r"error: preprocess: node [\d.]+: cannot use s3://archive/films \(Unable to locate cred"
    assert re.match(said, line)
    assert "credentials of their own" in line
    assert SECRET not in line and USER not in line


@pytest.fixture
def joined() -> Iterator[Started]:
    """A cluster of one node with two CPUs, joined by this process."""
    with head("--num-cpus", 2) as started:
        cluster.connect(started.address)
        yield started
        cluster.disconnect()


def test_what_no_node_can_give_is_refused(
    joined: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "GRACE", 1.0)
    for more in ({"gpus": 1}, {"cpus": 3}, {"workers": 3}):
        with pytest.raises(SettingsError, match=r"1 node of 2 CPU, 0 GPU.* Ask for less") as said:
            require(Needs("train", str(tmp_path), fields="train.such", **more))
        assert "(train.such)" in str(said.value)
        assert "\n" not in str(said.value)
    require(Needs("train", str(tmp_path), workers=2))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_node_does_not_see_is_refused(joined: Started, tmp_path: Path) -> None:
    """The second node has an empty disk where the run is."""
    apart = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh")
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this account may not mount a tmpfs")
    (tmp_path / "run").mkdir()
    joined.add("--num-cpus", 1, "--node-ip-address", "127.0.0.1", before=apart)
    with pytest.raises(RunError, match=r"node [\d.]+: does not see .*all nodes share") as said:
        require(Needs("train", str(tmp_path / "run")))
    assert "\n" not in str(said.value)
    require(Needs("train", str(tmp_path / "run"), cpus=2))  # no worker will be on that node


def test_a_cluster_that_is_gone_is_refused_in_seconds(tmp_path: Path) -> None:
    def refused(address: str) -> str:
        with pytest.raises(FacestackError) as said:
            cluster.connect(address)
        assert said.value.status == 2
        return str(said.value)

    assert "nothing answers there" in refused(f"127.0.0.1:{free_port()}")
    assert "is not known" in refused("no.such.host.invalid:6379")
    assert "Invalid address" in refused("nowhere")
    with head("--num-cpus", 1) as started:
        started.kill_raylet()
        assert "no node of it is alive" in refused(started.address)
    ended = run("preprocess.py", "--run", tmp_path, RAY_ADDRESS=started.address)
    assert ended.status == 2
    (line,) = ended.output.splitlines()
    assert "nothing answers there" in line  # ours: Ray, which waits for a minute, was not asked


def test_a_cluster_that_goes_away_ends_the_command_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would end the process after this time, without a word; what was read is kept."""
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "30")
    parts = tmp_path / "run/clips/parts"
    drawn = ("preprocess.py", "--config", TINY, "--run", tmp_path / "run")
    with head("--num-cpus", 2) as joined:
        ended = run_and_signal(
            lambda: list(parts.glob("*.json")), lambda _: joined.kill_gcs(),
            *drawn, "--cluster.address", joined.address,
        )  # fmt: skip
    assert ended.status == 3
    *_, waited, said = ended.output.splitlines()
    place = r"[\d.]+:" + joined.address.rpartition(":")[2]
    assert re.fullmatch(rf"\[cluster\] its head, {place}, does not answer; waiting for it", waited)
    assert re.match(rf"error: the head of the cluster, {place}, has not answered for \d+ s; ", said)
    again = run(*drawn)
    assert again.status == 0
    assert "were read before" in again.output


def test_the_log_of_a_job_holds_our_lines_alone(tmp_path: Path) -> None:
    """But for the two lines of those who start jobs."""
    scripts = " && ".join(
        f"{sys.executable} workflows/{name}.py --config {TINY} --run {tmp_path}/run"
        for name in ("preprocess", "recogniser", "evaluate")
    )
    with head("--num-cpus", 2) as joined:
        submit = [BINARIES / "ray", "job", "submit", "--address", joined.dashboard,
                  "--submission-id", "ours", "--working-dir", ROOT, "--", "bash", "-c",
                  scripts]  # fmt: skip
        shown = subprocess.run(
            submit, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        print(shown.stdout, shown.stderr)
        with urllib.request.urlopen(f"{joined.dashboard}/api/jobs/ours/logs") as answer:
            lines = json.loads(answer.read())["logs"].splitlines()
    assert any("done in" in line for line in lines)
    assert any(line.startswith("[recogniser] step") for line in lines)
    ours = re.compile(
        r"\[(preprocess|recogniser)\] \S|error: .*run/train: this stage has not been|"
        r"Running entrypoint for job ours: |\S+ \S+\tINFO job_manager\.py:\d+ -- Runtime env is set"
    )
    assert [line for line in lines if not ours.match(line)] == []
