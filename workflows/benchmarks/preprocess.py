"""Speed of preprocess: decode alone, a plain PyAV + OpenCV loop, and the stage on Ray.

    decode      every frame decoded on one thread, none converted
    plain       workflows/benchmarks/preprocess_baseline.py: one process, no Ray
    in process  the stage's own work in this process, without Ray; the shares are of this one
    stage 1, 2  the stage with that many workers, once started: its rate between one video and all

All in turn in each round on the same videos; ratios are medians over the rounds. CPU ms are of all
processes of a way, Ray's own included.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from threadpoolctl import threadpool_limits

from infra import cluster
from infra.errors import SettingsError
from infra.progress import say
from infra.runs import Run
from infra.settings.data import ClipSettings, PreprocessSettings
from infra.settings.settings import Settings
from workflows.benchmarks.inputs import draw_videos, link_videos
from workflows.benchmarks.network import machine
from workflows.benchmarks.preprocess_baseline import decode_only, plain_loop
from workflows.benchmarks.preprocess_profile import Spent, in_process, shares, watched
from workflows.benchmarks.preprocess_tables import preprocess_table
from workflows.benchmarks.process_usage import busy_seconds, stage_memory
from workflows.preprocessing.stage import preprocess
from workflows.shared.source_survey import find

ALONE = ("decode", "plain", "in process")
WORKERS = (1, 2)
Figures = dict[str, Any]
Times = dict[str, list[tuple[float, float]]]  # way → seconds of clock and processors, by round


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmark.py preprocess`."""
    parser.add_argument("--source", type=Path, help="folder of videos (none: 640×480, drawn)")
    parser.add_argument("--videos", type=int, default=10, help="videos to draw (10)")
    parser.add_argument("--frames", type=int, default=510, help="frames of each (510)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way (3)")
    parser.add_argument("--min-face", type=int, default=80, help="preprocess.min_face (80)")
    parser.add_argument("--detector", default="haar", help="haar, or a YuNet .onnx file (haar)")
    parser.add_argument("--memory", action="store_true", help="peak memory for 1 and 10 times")


def measure(chosen: argparse.Namespace) -> Figures:
    """Measure all ways; raises SettingsError for a number too small or a source without videos."""
    for name, least in (("videos", 2), ("frames", 50), ("rounds", 1), ("min_face", 1)):
        if getattr(chosen, name) < least:
            option = name.replace("_", "-")
            raise SettingsError(
                f"--{option}: expected at least {least}, got {getattr(chosen, name)}"
            )
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        # One thread for NumPy too, as in Ray's workers: a second one would only spin.
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            return _measured(chosen, Path(folder))
    finally:
        cv2.setNumThreads(before)
        cluster.disconnect()


def options(min_face: int, workers: int = 1, detector: str = "haar") -> Settings:
    """The paper's regime: ×8 to 128×128 with blur, faces found in every fifth frame."""
    return Settings(
        clip=ClipSettings(size=128, scale=8, blur_sigma=2.4),
        preprocess=PreprocessSettings(
            faces="detect", detector=detector, min_face=min_face, clip_stride=12, workers=workers
        ),
    )


def _measured(chosen: argparse.Namespace, folder: Path) -> Figures:
    root = chosen.source
    if root is None:
        root = folder / "drawn"
        say("preprocess", f"drawing {chosen.videos} films of {chosen.frames} frames")
        draw_videos(root, chosen.videos, chosen.frames)
    found = [source for source in find(str(root)).sources if source.kind == "video"]
    if len(found) < 2:
        raise SettingsError(f"--source {root}: expected two videos or more, found {len(found)}")
    everything = [Path(source.uri.removeprefix("file://")) for source in found]
    videos = {"all": everything, "one": everything[:1]}
    for which, paths in videos.items():
        link_videos(paths, folder / which)
    counts: dict[str, Figures] = {}
    spent: Spent = {}
    made = partial(options, chosen.min_face, detector=chosen.detector)
    calls = _calls(folder, videos["all"], made, counts, spent)
    say("preprocess", f"starting Ray, and a stage of one film of {len(everything)}")
    connecting = _seconds(lambda: cluster.connect(cpus=max(WORKERS)))
    # Workers import what they need in their first task.
    first = _seconds(lambda: _stage(folder / "one", made(workers=max(WORKERS))))
    times: Times = {name: [] for name in calls}
    for number in range(1, chosen.rounds + 1):
        for name, call in calls.items():
            times[name].append(_timed(name, call))
            clock, rate = times[name][-1][0], counts[name]["frames"] / times[name][-1][0]
            say("preprocess", f"round {number}/{chosen.rounds}: {name} {clock:.1f} s, "
                f"{rate:.0f} frames/s")  # fmt: skip
    if chosen.memory:
        say("preprocess", "memory of preprocess.py, on short films and on ten times as long ones")
    usual = statistics.median(clock for clock, _ in times[f"one video {max(WORKERS)}"])
    memory = stage_memory(folder, chosen.min_face) if chosen.memory else None
    return {
        "benchmark": "preprocess",
        "source": "drawn, 640×480" if chosen.source is None else chosen.source.name,
        "machine": machine(1),
        "min_face": chosen.min_face,
        "detector": chosen.detector,
        "videos": len(everything),
        "rounds": chosen.rounds,
        "counts": counts,
        "start_seconds": {
            "ray": connecting,
            "workers": max(0.0, first - usual),
            "one_video": usual,
        },
        "rows": _rows(times, counts),
        "shares": shares(spent, times["in process"][-1][1], times["decode"][-1][1]),
        "memory_bytes": memory,
    }


def _calls(
    folder: Path,
    videos: list[Path],
    made: Callable[..., Settings],
    counts: dict[str, Figures],
    spent: Spent,
) -> dict[str, Callable[[], None]]:
    """The ways by name; each notes in `counts` what it found, one in `spent` where time went."""

    def decode() -> None:
        counts["decode"] = {"frames": decode_only(videos), "clips": None}

    def plain() -> None:
        with tempfile.TemporaryDirectory() as target:
            frames, clips = plain_loop(videos, Path(target), made())
        counts["plain"] = {"frames": frames, "clips": clips}

    def alone() -> None:
        with watched() as parts:
            counts["in process"] = in_process(folder / "all", made())
        spent.update(parts)

    def stage(name: str, which: str, workers: int) -> None:
        counts[name] = _stage(folder / which, made(workers=workers))

    calls: dict[str, Callable[[], None]] = {"decode": decode, "plain": plain, "in process": alone}
    for workers in WORKERS:
        for words, which in (("one video", "one"), ("stage", "all")):
            name = f"{words} {workers}"
            calls[name] = partial(stage, name, which, workers)
    return calls


def _stage(source: Path, settings: Settings) -> Figures:
    settings.source = str(source)
    with tempfile.TemporaryDirectory() as target, redirect_stdout(io.StringIO()):
        run = Run(target)
        preprocess(settings, run)
        counts = run.record("clips").counts
    return {"frames": counts["frames"], "clips": counts["clips"]}


def _timed(name: str, call: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock, and of the processors: of all processes where Ray is at work."""
    busy = time.process_time if name in ALONE else busy_seconds
    before, clock = busy(), _seconds(call)
    return clock, busy() - before


def _seconds(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def _rows(times: Times, counts: dict[str, Figures]) -> list[Figures]:
    """Frames a second and processor time a frame; of the stage between one video and all."""
    pairs = {
        name: _a_frame(name, times, counts) for name in (*ALONE, *map("stage {}".format, WORKERS))
    }
    rows = []
    for name, of in pairs.items():
        rows.append(
            {
                "way": name,
                "frames_per_second": statistics.median(1 / clock for clock, _ in of),
                "frames_per_second_min": 1 / max(clock for clock, _ in of),
                "frames_per_second_max": 1 / min(clock for clock, _ in of),
                "cpu_ms": 1e3 * statistics.median(busy for _, busy in of),
                "rate_to_plain": _ratio(pairs["plain"], of, 0),
                "cpu_to_plain": _ratio(of, pairs["plain"], 1),
                "cpu_to_in_process": _ratio(of, pairs["in process"], 1),
            }
        )
    return rows


def _a_frame(name: str, times: Times, counts: dict[str, Figures]) -> list[tuple[float, float]]:
    """Seconds a frame, of clock and processors, in each round."""
    frames = counts[name]["frames"]
    if name in ALONE:
        return [(clock / frames, busy / frames) for clock, busy in times[name]]
    one = name.replace("stage", "one video")
    frames -= counts[one]["frames"]
    return [
        # A video that took no longer than none can only be seen at toy size.
        (max(clock - c, 1e-9) / frames, max(busy - b, 1e-9) / frames)
        for (clock, busy), (c, b) in zip(times[name], times[one], strict=True)
    ]


def _ratio(over: list[tuple[float, float]], under: list[tuple[float, float]], which: int) -> float:
    # Round by round, since the two of a round ran side by side.
    return statistics.median(a[which] / b[which] for a, b in zip(over, under, strict=True))


def problem(figures: Figures) -> str:
    """Say if the ways did not see the same frames, or the stage's clips differ; else empty."""
    counts = figures["counts"]
    frames = {name: counts[name]["frames"] for name in counts if not name.startswith("one")}
    if len(set(frames.values())) != 1:
        return f"the ways saw different numbers of frames: {frames}"
    clips = {name: counts[name]["clips"] for name in frames if name not in ("decode", "plain")}
    return "" if len(set(clips.values())) == 1 else f"the stage's clips differ: {clips}"


def table(figures: Figures) -> str:
    """The figures as text."""
    return preprocess_table(figures)
