"""Speed of enhance: a plain loop, the stage's own steps without Ray, and the stage on Ray.

    plain       workflows/benchmarks/enhancing/plain_loop.py: one process, on all cores
    in process  the stage's own steps one after another, on one core, without Ray
    stage 1, 2  the stage on so many cores, as many processes that restore, once started: what it
                takes for all films, less its start

All in turn in each round, on the same films, and the outputs are the restored faces alone; ratios
are medians over the rounds. CPU ms are of all processes of a way, Ray's own included. Cores beyond
those of a way are barred to it.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq

from infra import cluster, process
from infra.errors import SettingsError
from infra.progress import say
from infra.runs import Run
from infra.settings.settings import Settings
from workflows.benchmarks.enhancing.alone import CLOCK, alone
from workflows.benchmarks.enhancing.apart import Taken, apart, on_cores
from workflows.benchmarks.enhancing.plain_loop import Faces, plain, plain_faces
from workflows.benchmarks.enhancing.prepared import ALL, ONE, START, Prepared, prepare
from workflows.benchmarks.enhancing.rates import ALONE, PLAIN, once_started, rows_of, shares_of
from workflows.benchmarks.enhancing.tables import enhance_table
from workflows.benchmarks.network import machine
from workflows.benchmarks.process_usage import Watch, watching
from workflows.enhancement.manifest import FILMS
from workflows.enhancement.stage import enhance

# Levels by which a restored face may differ; on a GPU products are rounded to TF32.
SAME = {"cpu": 1, "cuda": 2}
Figures = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py enhance`."""
    parser.add_argument("--source", type=Path, help="folder of videos (none: 640×480, drawn)")
    parser.add_argument("--weights", help="weights.safetensors (none: f5warp, untrained)")
    parser.add_argument("--detector", default="haar", help="haar, or a YuNet .onnx file (haar)")
    parser.add_argument("--films", type=int, default=8, help="films at most, spread evenly (8)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N",
                        help="cores that the stage is given, one after another (1 2)")  # fmt: skip
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that restore (0)")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each way (2)")


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure all ways; raises SettingsError for a number too small or a source without videos."""
    numbers = {"films": chosen.films, "rounds": chosen.rounds, "workers": min(chosen.workers)}
    for name, number in numbers.items():
        if number < 1:
            raise SettingsError(f"--{name}: expected at least 1, got {number}")
    with tempfile.TemporaryDirectory() as folder:
        return _measured(chosen, prepare(chosen, Path(folder)))


def _measured(chosen: argparse.Namespace, made: Prepared) -> Figures:
    most, taken = max(chosen.workers), dict[str, list[Taken]]()
    starts: list[_Start] = []
    everything, few, one = map(made.job, (ALL, START, ONE))
    with watching() as watch, apart(most, {}) as plainly, apart(1, process.WORKER) as steps:

        def ways() -> Iterator[tuple[str, Taken]]:
            yield PLAIN, plainly(plain, everything)
            yield ALONE, (without_ray := steps(alone, everything))
            for workers in chosen.workers:
                yield f"stage {workers}", _on_ray(made, workers, watch, without_ray, starts)

        say("enhance", "loading, and restoring a film by the plain loop and the stage to compare")
        plainly(plain, few)
        steps(alone, few)
        difference = _difference(plainly(plain_faces, one), _stage_faces(made, most))
        for number in range(1, chosen.rounds + 1):
            for name, found in ways():
                taken.setdefault(name, []).append(found)
                say("enhance", f"round {number}/{chosen.rounds}: {name} {found.told}")
    last, model = taken[ALONE][-1], everything.model
    return {
        "benchmark": "enhance",
        "source": "drawn, 640×480" if chosen.source is None else chosen.source.name,
        "machine": machine(most),
        "gpus": made.gpus,
        "variant": model.variant,
        "sizes": f"{model.low_size} → {model.low_size * model.scale} px",
        "detector": chosen.detector,
        "films": len(everything.films),
        "faces": {name: of[-1].faces for name, of in taken.items()},
        "rounds": chosen.rounds,
        "workers": chosen.workers,
        "difference": difference,
        "same": SAME[everything.device],
        "start_seconds": {
            "ray": statistics.median(start.ray for start in starts),
            "workers": statistics.median(max(0, start.first - start.few) for start in starts),
            "few_faces": statistics.median(start.few for start in starts),
        },
        "rows": rows_of(taken),
        "restored_per_second": last.faces / last.parts[CLOCK],
        "shares": {
            "in process, of processor time": shares_of(last.parts),
            f"stage {most}, of the seconds of its steps": shares_of(
                taken[f"stage {most}"][-1].parts
            ),
        },
    }


@dataclass(frozen=True)
class _Start:
    """Seconds until Ray was there, and of a stage of a `few` faces, the `first` time and again."""

    ray: float
    first: float
    few: float


def _on_ray(
    made: Prepared, workers: int, watch: Watch, without_ray: Taken, starts: list[_Start]
) -> Taken:
    """What the stage takes on so many cores; the start of a Ray of its own goes to `starts`."""
    with on_cores(workers):
        try:
            ray = _seconds(lambda: cluster.connect(cpus=workers, dashboard=False))
            settings, everything = (made.settings(which, workers) for which in (START, ALL))
            # Workers import what they need in their first task.
            first, few = _stage(settings, watch).clock, _stage(settings, watch)
            starts.append(_Start(ray, first, few.clock))
            return once_started(_stage(everything, watch), few, without_ray)
        finally:
            cluster.disconnect()


def _stage(settings: Settings, watch: Watch) -> Taken:
    with tempfile.TemporaryDirectory() as target, redirect_stdout(io.StringIO()):
        run = Run(target)
        clock, busy = time.perf_counter(), watch.busy_seconds()
        enhance(settings, run)
        clock, busy = time.perf_counter() - clock, watch.busy_seconds() - busy
        films = pq.read_table(run.path("enhanced", FILMS)).to_pylist()
    steps = Counter[str]()
    for film in films:
        steps.update(dict(film["took"]))
    return Taken(clock, busy, sum(film["faces"] for film in films), dict(steps))


def _stage_faces(made: Prepared, workers: int) -> list[Faces]:
    """The restored faces N×S×S×3 of each track of the first film, as the stage makes them."""
    with tempfile.TemporaryDirectory() as target, redirect_stdout(io.StringIO()):
        try:
            cluster.connect(cpus=workers, dashboard=False)
            enhance(made.settings(ONE, workers, ["png"]), Run(target))
        finally:
            cluster.disconnect()
        tracks: dict[Path, list[Faces]] = {}
        for path in sorted(Path(target).rglob("*.png")):
            with av.open(str(path)) as picture:
                (frame,) = picture.decode(video=0)
            tracks.setdefault(path.parent, []).append(
                frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            )
        return [np.stack(pictures) for _, pictures in sorted(tracks.items())]


def _difference(some: list[Faces], others: list[Faces]) -> int | None:
    """The largest difference [levels]; None where they are not as many."""
    if [one.shape for one in some] != [one.shape for one in others]:
        return None
    apart = [np.abs(a.astype(int) - b).max() for a, b in zip(some, others, strict=True)]
    return int(max(apart, default=0))


def _seconds(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def problem(figures: Figures) -> str:
    """Say if the ways did not restore the same faces, or not alike; else empty."""
    faces, difference = figures["faces"], figures["difference"]
    if len(set(faces.values())) != 1:
        return f"the ways restored different numbers of faces: {faces}"
    if not faces[PLAIN]:
        return "no face was found"
    if difference is None:
        return "the plain loop and the stage cut different tracks out of the first film"
    if difference > figures["same"]:
        return f"a face as the plain loop and the stage restore it differs by {difference} levels"
    return ""


def table(figures: Figures) -> str:
    """The figures as text."""
    return enhance_table(figures)
