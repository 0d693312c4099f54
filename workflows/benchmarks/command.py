"""All benchmarks: a table on the screen and, with --json FILE, the same figures as JSON."""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from infra import outages, storage
from infra.errors import Parser, SettingsError, ending

# What workflows.benchmarks.<name> measures. Each gives add_arguments(parser), measure(arguments) →
# figures (a dictionary for JSON), table(figures) → text, and problem(figures) → what is wrong with
# them, or "". Only the one asked for is imported: Ray or PyAV need not be there for the others.
COMMANDS = {
    "network": "speed of f25warp: naive, batched, streamed; on a GPU all variants and precisions",
    "preprocess": "from videos to clips, on Ray and by a plain loop",
    "loader": "from shards to batches",
    "train": "steps a second: plain, our loop, Ray and DeepSpeed; on a GPU the precisions",
    "enhance": "from films to restored faces, on Ray and by a plain loop",
    "evaluate": "measuring test clips on Ray",
}


def main(words: list[str] | None = None) -> int:
    """Run one benchmark; returns the exit status, which is 1 when its figures are wrong."""
    with ending("benchmark.py") as end, outages.reporting():
        chosen = _read(words)
        command = _module(chosen.command)
        figures = command.measure(chosen)
        print(command.table(figures))
        if chosen.json is not None:
            storage.write_json(str(chosen.json), figures)
        if problem := command.problem(figures):
            print(f"error: {problem}", file=sys.stderr)
            end.status = 1
    return end.status


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"workflows.benchmarks.{name}")


def _read(words: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="benchmark.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about)
        if name in (sys.argv[1:] if words is None else words):
            _module(name).add_arguments(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    chosen = parser.parse_args(words)
    # Said now, not after minutes of measuring.
    if chosen.json is not None and not chosen.json.resolve().parent.is_dir():
        raise SettingsError(f"--json {chosen.json}: its folder does not exist; make it first")
    return chosen
