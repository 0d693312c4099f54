"""All benchmarks: a table on the screen and, with --json FILE, the same figures as JSON."""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import FacestackError
from workflows import (
    benchmark_evaluate,
    benchmark_loader,
    benchmark_network,
    benchmark_preprocess,
    benchmark_train,
)

# Each module gives add_arguments(parser), measure(arguments) → figures (a dictionary for JSON),
# table(figures) → text, and problem(figures) → what is wrong with them, or "".
COMMANDS: dict[str, ModuleType] = {
    "network": benchmark_network,
    "preprocess": benchmark_preprocess,
    "loader": benchmark_loader,
    "train": benchmark_train,
    "evaluate": benchmark_evaluate,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(words: list[str] | None = None) -> int:
    """Run one benchmark; returns 0, 1 when its figures are wrong, 2 for a mistake in the call."""
    try:
        chosen = _read(words)
        command = COMMANDS[chosen.command]
        figures = command.measure(chosen)
        print(command.table(figures))
        if chosen.json is not None:
            chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except (ValueError, OSError, FacestackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    problem = command.problem(figures)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _read(words: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="benchmark.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, module in COMMANDS.items():
        about = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=about, description=about)
        module.add_arguments(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    chosen = parser.parse_args(words)
    # Said now, not after minutes of measuring.
    if chosen.json is not None and not chosen.json.resolve().parent.is_dir():
        raise ValueError(f"--json {chosen.json}: its folder does not exist; make it first")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
