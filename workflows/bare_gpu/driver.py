"""Runs the steps one after the other, each in a process and a time box of its own; the standard
library alone.

A step's result `DIR/<step>.json` is whole before the next step begins: its state, its figures, and
why it is not done, if it is not. A step that fails or takes too long is named and passed over, and
keeps the figures that it had by then. `DIR/summary.md` is made anew after each.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from infra.errors import Parser, SettingsError, ending
from infra.progress import SPOKEN, say
from workflows.bare_gpu.parcels import unpacking, weight_parts
from workflows.bare_gpu.step import STEPS, Figures, Given, Step, write_whole

ROOT = Path(__file__).resolve().parents[2]
LEAST = 1.0  # seconds in which a process may say something
GRACE = 5.0  # seconds from asking a step to end to ending it
TAIL = 600  # characters of what a failed step said last
PLAN = "pretrain:0.7,f1:1,f5warp:1.3,f25warp:3,f25:1.2;pretrain:0.5,f1:0.6,f25warp:1.5"


def main(words: list[str], about: str) -> int:
    """Run the steps that the words choose; returns the exit status, which is 1 when one failed."""
    with ending("gpu.py") as end:
        chosen = _read(words, about)
        if chosen.join is not None:
            for file in weight_parts.join(chosen.join):
                print(file)
            return 0
        steps = _chosen(chosen.only, chosen.skip)
        stop = time.monotonic() + 60 * chosen.minutes
        sites = [str(site) for site in unpacking.sites(chosen.parcels)]
        environment = _environment(sites, chosen.device)
        if chosen.device == "cuda":
            _find_gpu(environment)
        try:
            chosen.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"--out {chosen.out}: {error.strerror}") from error
        sys.path[1:1] = sites  # for _lacking
        states = _all(steps, chosen, environment, stop)
        print(f"\n{chosen.out / 'summary.md'}:\n")
        print((chosen.out / "summary.md").read_text(encoding="utf-8"))
        end.status = int(any(state in ("failed", "out of time") for state in states))
    return end.status


def _environment(sites: list[str], device: str) -> dict[str, str]:
    """What the steps' processes, and the workers of Ray behind them, are to find."""
    path = filter(None, [str(ROOT), *sites, os.environ.get("PYTHONPATH", "")])
    found = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path)}
    return found | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


def _find_gpu(environment: dict[str, str]) -> None:
    """Raise SettingsError where PyTorch finds no GPU: every step would say so at length."""
    program = "import torch; assert torch.cuda.is_available(), 'it finds no GPU'"
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        raise SettingsError(f"PyTorch: {said}; give --device cpu --tiny to see that all runs")


def _all(
    steps: list[Step], chosen: argparse.Namespace, environment: dict[str, str], end: float
) -> list[str]:
    states = []
    lacking = {step: _lacking(step.needs) for step in steps}
    for number, step in enumerate(steps):
        # A step that cannot run has no box, and takes nothing from those of others.
        shares = [later.share for later in steps[number:] if not lacking[later]]
        box = (end - time.monotonic()) * step.share / sum(shares) if not lacking[step] else 0.0
        given = Given(
            out=str(chosen.out.resolve()), work=str(chosen.work.resolve()),
            parcels=str(chosen.parcels.resolve()), device=chosen.device, tiny=chosen.tiny,
            seconds=box, plan=chosen.plan, weights=chosen.weights,
        )  # fmt: skip
        if lacking[step]:
            why = f"no {', '.join(lacking[step])} here"
            result: Figures = {"state": "left out", "why": why, "seconds": 0}
        elif box < LEAST:
            result = {"state": "out of time", "why": "no time was left for it", "seconds": 0}
        else:
            say(step.name, f"{step.about}: {box:.0f} s at most")
            result = _run(step, given, environment)
        result = {"step": step.name, "about": step.about, "device": chosen.device, **result}
        write_whole(chosen.out / f"{step.name}.json", json.dumps(result, indent=1) + "\n")
        (chosen.out / f"{step.name}.running.json").unlink(missing_ok=True)
        why = f": {result['why'].splitlines()[-1]}" if result.get("why") else ""
        say(step.name, f"{result['state']} in {result['seconds']:.0f} s{why}")
        states.append(str(result["state"]))
        write_whole(chosen.out / "summary.md", summary(chosen.out))
    return states


def _run(step: Step, given: Given, environment: dict[str, str]) -> Figures:
    # Among the results, for those who are cut off themselves.
    figures = Path(given.out) / f"{step.name}.running.json"
    figures.unlink(missing_ok=True)
    Path(given.work).mkdir(parents=True, exist_ok=True)
    log = Path(given.work) / f"{step.name}.log"
    call = [sys.executable, "-m", "workflows.bare_gpu.child", step.module, str(figures)]
    begun = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*call, given.to_json()], cwd=ROOT, env=environment, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = _waited(process, step, begun, given.seconds)
        finally:
            _end(process)
    said = log.read_text(encoding="utf-8", errors="replace")
    with (Path(given.out) / "log.txt").open("a", encoding="utf-8") as whole:
        whole.write(f"==== {step.name}\n{said[-200_000:]}\n")
    found = {"figures": {}, "text": ""}
    if figures.exists():
        found = json.loads(figures.read_text(encoding="utf-8"))
    result: Figures = {"state": "done", "seconds": round(time.monotonic() - begun, 1)}
    if status is None:
        result |= {"state": "out of time", "why": f"stopped after {given.seconds:.0f} s"}
    elif status:
        result |= {"state": "failed", "why": said.strip()[-TAIL:] or f"exit status {status}"}
    return result | found


def _waited(
    process: subprocess.Popen[bytes], step: Step, begun: float, seconds: float
) -> int | None:
    """The status of a step that ends in time, else None; says meanwhile how long it has taken."""
    while True:
        left = begun + seconds - time.monotonic()
        try:
            return process.wait(max(0.0, min(SPOKEN, left)))
        except subprocess.TimeoutExpired:
            if left <= SPOKEN:
                return None
            say(step.name, f"{time.monotonic() - begun:.0f} of {seconds:.0f} s at most")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step and all processes of its group."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def summary(out: Path) -> str:
    """One page of all results that lie in a folder, those of earlier calls too."""
    lines = ["# What a GPU machine said", ""]
    results = []
    for step in STEPS:
        file = out / f"{step.name}.json"
        if file.exists():
            results.append(json.loads(file.read_text(encoding="utf-8")))
    lines += ["| step | | state | s |", "|---|---|---|---:|"]
    for result in results:
        lines.append(
            f"| {result['step']} | {result['about']} | {result['state']} "
            f"| {result['seconds']:.0f} |"
        )
    for result in results:
        lines += ["", f"## {result['step']}: {result['about']}", ""]
        if result.get("why"):
            lines += [f"{result['state']}:", "", "```", result["why"], "```", ""]
        lines.append(result.get("text") or "No figures.")
    return "\n".join(lines) + "\n"


def _lacking(modules: Iterable[str]) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]


def _chosen(only: list[str], skip: list[str]) -> list[Step]:
    names = [step.name for step in STEPS]
    for name in (*only, *skip):
        if name not in names:
            raise SettingsError(f"no step {name!r}; there are {', '.join(names)}")
    steps = [step for step in STEPS if step.name not in skip and (not only or step.name in only)]
    if not steps:
        raise SettingsError("--only and --skip leave no step")
    return steps


def _read(words: list[str], about: str) -> argparse.Namespace:
    parser = Parser(prog="gpu.py", description=about)
    parser.add_argument("--minutes", type=float, default=10, help="for all steps together (10)")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu/out"), metavar="DIR")
    parser.add_argument("--work", type=Path, default=Path("runs/gpu/work"), metavar="DIR",
                        help="for what does not come back: runs, checkpoints, logs")  # fmt: skip
    parser.add_argument("--parcels", type=Path, default=ROOT / "parcels", metavar="DIR")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP")
    parser.add_argument("--skip", nargs="+", default=[], metavar="STEP")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to see that all runs")
    parser.add_argument(
        "--plan", default=PLAN,
        help="trainings and their shares of the time, as name:share,…; of each parcel of faces, "
        f"the parcels in the order of their names and apart by a semicolon ({PLAN})",
    )  # fmt: skip
    parser.add_argument("--weights", default="f1,f25warp", metavar="NAMES",
                        help="variants whose weights are put into --out (f1,f25warp)")  # fmt: skip
    parser.add_argument("--join", type=Path, metavar="DIR",
                        help="put weights together that came back in parts, no more")  # fmt: skip
    chosen = parser.parse_args(words)
    if chosen.minutes <= 0:
        raise SettingsError(f"--minutes: expected more than 0, got {chosen.minutes:g}")
    return chosen
