"""What clusters do to a training, done to it: the losses stay those of an undisturbed one.

All trainings are small_jobs.work: eight steps, a checkpoint every second, validation at the fourth
and eighth, of which the fourth is the best. One Ray and one S3 server serve the whole module.
"""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import s3fs
import safetensors.torch
import torch
from moto.server import ThreadedMotoServer

from infra import cluster, storage
from infra.errors import FaultError
from infra.training.checkpoints import Checkpoints, Mark
from tests.support import small_jobs
from tests.support.root import ROOT
from tests.support.servers.s3_server import leading_to, reaching
from tests.support.small_jobs import STEPS, work
from workflows.training.ray_train import fit

# The driver runs in this process, and warns of Ray's own affairs.
pytestmark = pytest.mark.filterwarnings("default")


class Store:
    """An S3 server that goes away and comes back with what it held: nobody is given its port
    meanwhile."""

    def __init__(self) -> None:
        self.port = cluster.free_port()
        self.back()

    def away(self) -> None:
        self.server.stop()

    def back(self) -> None:
        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """The server, to which the environment points every client."""
    found = Store()
    # What is tested is our own patience, on top of the client's.
    with reaching({**leading_to(found.port), "AWS_MAX_ATTEMPTS": "2"}):
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("archive")
        yield found
    found.away()


@pytest.fixture(scope="module")
def shards(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What is trained on, and a local Ray whose workers know the server."""
    cluster.connect(cpus=2)
    yield small_jobs.write_shards(tmp_path_factory.mktemp("shards"))
    cluster.disconnect()


@pytest.fixture(scope="module")
def straight(shards: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing disturbs."""
    folder = tmp_path_factory.mktemp("straight")
    last = fit(work(folder, shards))
    assert last["step"] == STEPS
    return folder


def losses(folder: str | Path) -> list[float]:
    rows = storage.read_json(storage.join(str(folder), "history.json"))
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return [row["loss"] for row in rows]


def steps(folder: str | Path) -> list[int]:
    return [mark.step for mark in Checkpoints(f"{folder}/checkpoints").complete()]


def test_last_and_best_are_kept_and_say_what_they_are(straight: Path, shards: list[str]) -> None:
    first, last = Checkpoints(f"{straight}/checkpoints").complete()
    assert (first.step, first.score, last.step, last.score) == (4, 30.0, STEPS, 20.0)
    assert (last.world_size, last.seed, last.fingerprint) == (1, 5, "small")
    assert last.shards == [Path(uri).name for uri in shards]
    assert last.versions["torch"]
    assert sorted(p.name for p in (straight / "checkpoints").glob("step-*")) == [
        "step-00000004", "step-00000008",
    ]  # fmt: skip


def test_the_best_validated_weights_are_the_result_where_the_plan_says_so(
    straight: Path, shards: list[str], tmp_path: Path
) -> None:
    """Of a training that has nothing left to do but that."""
    shutil.copytree(straight, tmp_path / "run")
    todo = work(tmp_path / "run", shards)
    last = fit(replace(todo, plan=replace(todo.plan, best=True)))
    assert (last["step"], last["best_step"], last["validation_psnr"]) == (STEPS, 4, 30.0)
    found = safetensors.torch.load_file(tmp_path / "run/weights.safetensors")
    saved = straight / "checkpoints/step-00000004/engine/mp_rank_00_model_states.pt"
    module = torch.load(saved, weights_only=False)["module"]
    assert all(torch.equal(value, module[f"network.{name}"]) for name, value in found.items())
    ended = safetensors.torch.load_file(straight / "weights.safetensors")
    assert any(not torch.equal(value, ended[name]) for name, value in found.items())


def test_worker_killed_more_often_than_allowed_and_gone_on_with(
    straight: Path, shards: list[str], tmp_path: Path
) -> None:
    """Killed in step 5, restarted by Ray from step 4; killed in step 7, which ends the training;
    the same call then goes on from step 6: the losses of an undisturbed run, to 1e-6."""
    fault = partial(small_jobs.kill_worker, tmp_path, [(5, 4), (3, 6)])
    with pytest.raises(FaultError, match=r"worker 0 was lost once more than max_failures 1 allows"):
        fit(work(tmp_path, shards, fault=fault))
    assert len(list(tmp_path.glob("killed-*"))) == 2
    # The kill may come between a checkpoint's mark and the removal of an older one.
    assert steps(tmp_path)[-2:] == [4, 6]
    fit(work(tmp_path, shards))
    np.testing.assert_allclose(losses(tmp_path), losses(straight), rtol=1e-6)


def test_two_workers_go_on_where_one_stopped(
    straight: Path, shards: list[str], tmp_path: Path
) -> None:
    """From the checkpoint of step 4; the loss is the mean of the halves that the two have seen."""
    shutil.copytree(straight, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000008")
    (tmp_path / "run/history.json").write_text(
        json.dumps(json.loads((straight / "history.json").read_text())[:4])
    )
    fit(work(tmp_path / "run", shards, workers=2))
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(straight), rtol=1e-4)
    last = Checkpoints(f"{tmp_path}/run/checkpoints").complete()[-1]
    assert (last.step, last.world_size) == (STEPS, 2)


def test_one_worker_takes_over_from_two_that_shared_the_optimiser(
    straight: Path, shards: list[str], tmp_path: Path
) -> None:
    """ZeRO 2: each of two workers holds half of Adam's state; DeepSpeed's universal checkpoint
    joins the halves. Steps 1 to 4 are also those of one worker with the whole batch."""
    fit(work(tmp_path, shards, workers=2, steps=4, zero_stage=2))
    assert len(list(tmp_path.glob("checkpoints/step-00000004/engine/*optim_states.pt"))) == 2
    fit(work(tmp_path, shards, workers=1, zero_stage=2))
    np.testing.assert_allclose(losses(tmp_path), losses(straight), rtol=1e-4)


def test_full_disk(straight: Path, shards: list[str], small_disk: Path) -> None:
    folder = small_disk / "run"
    fault = partial(small_jobs.fill_disk, folder, 5)
    with pytest.raises(FaultError, match="No space left on device") as raised:
        fit(work(folder, shards, fault=fault))
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert steps(folder) == [4]
    (small_disk / "filler").unlink()
    fit(work(folder, shards))
    np.testing.assert_allclose(losses(folder), losses(straight), rtol=1e-6)


def test_storage_that_goes_away_for_a_while(
    straight: Path, shards: list[str], store: Store, tmp_path: Path
) -> None:
    """The server is gone from step 5 on for six seconds, while checkpoints are due."""
    asked, gone = tmp_path / "asked", tmp_path / "gone"

    def outage() -> None:
        small_jobs.wait_for(asked)
        store.away()
        gone.touch()
        threading.Event().wait(6)
        store.back()

    watcher = threading.Thread(target=outage)
    watcher.start()
    folder = "s3://archive/outage"
    fit(work(folder, shards, fault=partial(small_jobs.announce, asked, gone, 5)))
    watcher.join()
    np.testing.assert_allclose(losses(folder), losses(straight), rtol=1e-6)
    assert steps(folder) == [4, STEPS]
    ours, wanted = (
        safetensors.torch.load(storage.read_bytes(f"{where}/weights.safetensors"))
        for where in (folder, straight)
    )
    torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-7)


def test_storage_that_stays_away(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 2.0)
    checkpoints = Checkpoints("s3://archive/lost")
    checkpoints.save(_files(tmp_path), _mark(2))
    checkpoints.wait()
    store.away()
    checkpoints.save(_files(tmp_path), _mark(4))
    with pytest.raises(FaultError, match=r"s3://archive/lost/.* has not answered for 2 s"):
        checkpoints.wait()
    store.back()
    with checkpoints.files(checkpoints.complete()[-1]) as folder:
        assert folder is not None
        assert (folder / "engine/weights").read_bytes() == b"of step"
    assert checkpoints.newest() == 2


def _files(folder: Path) -> Path:
    (folder / "engine").mkdir()
    (folder / "engine/weights").write_bytes(b"of step")
    return folder


def _mark(step: int) -> Mark:
    return Mark(step=step, world_size=1, score=None, scalars={}, fingerprint="", seed=0, shards=[],
                versions={})  # fmt: skip


def test_weights_are_read_without_ray_and_deepspeed(straight: Path) -> None:
    """In a process where importing either fails."""
    script = (
        "import sys; sys.modules['ray'] = sys.modules['deepspeed'] = None\n"
        "from model.weights import load_network, load_weights\n"
        f"path = {str(straight / 'weights.safetensors')!r}\n"
        "network = load_network(path)\n"
        "import torch; assert network(torch.zeros(1, 5, 3, 4, 4)).shape == (1, 3, 16, 16)\n"
        "print(sorted(load_weights(path)[1].items()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "('variant', 'f5warp')" in said
