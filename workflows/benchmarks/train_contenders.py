"""The trainings that `benchmark.py train` compares, each in processes of its own, one at a time.

A Gate before the objective's forward lets a training go some steps each time the driver says so and
notes how long they took; between its turns a training waits. So all of them see the same weather
on a machine that others use too.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from datasets.shards.reader import ShardReader, list_shards
from infra.errors import FaultError
from infra.provenance import ROOT
from infra.settings.optimiser import OptimiserSettings
from infra.training.optimiser_step import set_float32_products
from infra.training.plan import Plan
from infra.whole_file import whole_file
from model.network import Network, build
from model.objectives.restoration import Restoration
from model.perceptual import FaceRecogniser
from workflows.training import in_process
from workflows.training.job import Trainee, TrainingJob

CALL = [sys.executable, "-m", "workflows.benchmarks.train_contenders"]
PATIENCE = 300  # seconds
SEED, RATE = 0, 1e-4
PERCEPTUAL = {"pool3": 10.0, "pool4": 10.0}
COLUMNS = ["low", "high"]


@dataclass(frozen=True)
class Setting:
    """What every way of training has in common."""

    folder: str
    variant: str
    size: int
    scale: int
    width: float
    batch: int
    threads: int
    steps: int  # a round
    rounds: int

    @property
    def total(self) -> int:
        """A round to warm up, the rounds measured, and the step whose start ends the last one."""
        return self.steps * (self.rounds + 1) + 1


class Gate:
    """A forward pre-hook: waits for the driver before each round, reports the seconds after it."""

    def __init__(self, setting: Setting, way: str) -> None:
        self.setting, self.way = setting, way
        self.calls = 0
        self.started = (0.0, 0.0)

    def __call__(self, *_: Any) -> None:
        """Called before each step."""
        number, step = divmod(self.calls, self.setting.steps)
        self.calls += 1
        if step or not number:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        clock, busy = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        joined = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if joined else 0
        # The first call says that it is ready.
        _write(place(self.setting, self.way, f"round-{number - 1}-{rank}.json"), [clock, busy])
        if number <= self.setting.rounds:
            wait_for(place(self.setting, self.way, f"go-{number}"))
        self.started = (time.perf_counter(), time.process_time())


def place(setting: Setting, way: str, name: str) -> Path:
    """A file through which the driver and a way talk."""
    return Path(setting.folder, setting.variant, way, name)


def wait_for(path: Path, alive: Any = None) -> None:
    """Wait until a file is there; raises FaultError when it does not come or its writer ended."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > deadline or (alive is not None and alive.poll() is not None):
            raise FaultError(f"{path.parent.name}: ended or hangs; see {path.parent}/../*.log")
        time.sleep(0.002)


def objective(setting: Setting) -> Restoration:
    """The restoration of eq. (6) with an untrained recogniser."""
    network = build(setting.variant, setting.scale, setting.size, setting.width)
    assert isinstance(network, Network)
    judge = FaceRecogniser(identities=8, width=0.5 * setting.width, input_size=64)
    return Restoration(network, network.num_frames, judge, PERCEPTUAL, look_up=False)


def trainee(setting: Setting, way: str) -> Trainee:
    """What a way trains, behind a gate."""
    made = objective(setting)
    made.register_forward_pre_hook(Gate(setting, way))
    return Trainee(made, metadata={})


def job(setting: Setting, way: str, workers: int = 1) -> TrainingJob:
    """The training of a way, as a stage would describe it."""
    cuda = torch.cuda.is_available()
    options = OptimiserSettings(
        steps=setting.total, batch_size=setting.batch, learning_rate=RATE, workers=workers,
        cpus_per_worker=max(1, setting.threads // workers), gpus_per_worker=int(cuda),
        log_every=setting.steps, max_failures=0,
    )  # fmt: skip
    plan = Plan(
        steps=setting.total, batch_size=setting.batch, learning_rate=RATE,
        log_every=setting.steps, checkpoint_every=setting.total,
    )  # fmt: skip
    return TrainingJob(
        name=way, folder=str(place(setting, way, "stage")),
        shards=list_shards(f"{setting.folder}/clips"), options=options, plan=plan, seed=SEED,
        build=partial(trainee, setting, way),
    )  # fmt: skip


def plain(setting: Setting) -> None:
    """A bare PyTorch loop over batches that are in memory before it starts."""
    set_float32_products("fp32")  # as the other ways, which by PyTorch's default it would not be
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reader = ShardReader(list_shards(f"{setting.folder}/clips"), setting.batch, SEED, COLUMNS)
    stored = islice(reader.batches(), 2 * setting.steps)
    batches = [{name: torch.from_numpy(v).to(device) for name, v in one.items()} for one in stored]
    torch.manual_seed(SEED)
    module = trainee(setting, "plain").objective.to(device)
    optimiser = torch.optim.Adam(module.parameters(), RATE, fused=True)
    for step, batch in enumerate(islice(cycle(batches), setting.total), 1):
        optimiser.zero_grad()
        loss = module(batch)["loss"]
        loss.backward()
        optimiser.step()
        if step == setting.steps:
            _write(place(setting, "plain", "stage/history.json"), [{"loss": loss.item()}])


def on_ray(setting: Setting, ways: dict[str, int]) -> None:
    """Ray Train with DeepSpeed: ways and their numbers of workers, all in one local Ray."""
    import ray

    from infra import cluster
    from workflows.training import ray_train

    # Only one of them works at a time.
    cluster.connect(cpus=sum(max(1, setting.threads // n) * n for n in ways.values()))
    fit = ray.remote(num_cpus=0)(ray_train.fit)
    ray.get([fit.remote(job(setting, way, workers)) for way, workers in ways.items()])
    cluster.disconnect()


@contextmanager
def running(setting: Setting, ways: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The processes of `plain`, `loop` and, for the ways named, of Ray; each waits at its gate."""
    arguments: dict[str, dict[str, int]] = {"plain": {}, "loop": {}}
    if ways:
        arguments["ray"] = ways
    found: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, given in arguments.items():
            log = Path(setting.folder, setting.variant, f"{name}.log")
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w") as stream:
                found[name] = subprocess.Popen(
                    [*CALL, name, json.dumps([asdict(setting), given])],
                    stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT,
                    env={**os.environ, "OMP_NUM_THREADS": str(setting.threads)},
                )  # fmt: skip
        yield {
            "plain": found["plain"],
            "loop": found["loop"],
            **dict.fromkeys(ways, found.get("ray")),
        }
        for process in found.values():
            process.wait(PATIENCE)
    finally:
        for process in found.values():
            process.terminate()
            process.wait()


def _write(path: Path, content: Any) -> None:
    with whole_file(path) as scratch:
        scratch.write_text(json.dumps(content))


def _main(name: str, given: str) -> None:
    described, ways = json.loads(given)
    setting = Setting(**described)
    torch.set_num_threads(setting.threads)
    # Imported by its full name, so that the workers of Ray find what is sent to them.
    from workflows.benchmarks import train_contenders as ours

    {
        "plain": lambda: ours.plain(ours.Setting(**described)),
        "loop": lambda: in_process.fit(ours.job(ours.Setting(**described), "loop")),
        "ray": lambda: ours.on_ray(ours.Setting(**described), ways),
    }[name]()


if __name__ == "__main__":
    _main(*sys.argv[1:])
