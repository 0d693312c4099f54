"""What every entry point shares: read settings, run stages, turn errors into an exit status."""

import importlib
import sys

from infra import cluster, command_line
from infra.errors import FacestackError, SettingsError
from infra.runs import Run
from infra.settings import Settings

# Stage → folder of the run with its completion record; full.py runs them in this order.
FOLDERS = {
    "preprocess": "clips",
    "recogniser": "recogniser",
    "pretrain": "pretrain",
    "tune": "tune",
    "train": "train",
    "evaluate": "report",
    "enhance": "enhanced",
}


def main(names: list[str], about: str) -> int:
    """Run the named stages; returns the exit status of DESIGN §6 (0, 1 or 2)."""
    program = f"{names[0] if len(names) == 1 else 'full'}.py"
    try:
        chosen = command_line.load(sys.argv[1:], program, about)
        run = Run(chosen.run, force=forced(chosen.force))
        # Imported by its full name, not as __main__, so that workers find what the stage sends.
        modules = {name: importlib.import_module(f"workflows.{name}") for name in names}
        for module in modules.values():
            # What can be refused is refused before hours of work, and before anything is written.
            getattr(module, "check", _nothing)(chosen)
        for name, module in modules.items():
            getattr(module, name)(chosen, run)
        return max(_status(run, FOLDERS[name]) for name in names)
    except FacestackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        cluster.disconnect()


def _nothing(_: Settings) -> None:
    """The check of a stage whose settings pydantic has checked already."""


def forced(names: list[str]) -> frozenset[str]:
    """The stages to redo: those named and all that come after the first of them."""
    unknown = [name for name in names if name not in FOLDERS]
    if unknown:
        raise SettingsError(f"force: no stage {unknown[0]!r}; there are {', '.join(FOLDERS)}")
    order = list(FOLDERS)
    return frozenset(order[min(map(order.index, names)) :]) if names else frozenset()


def _status(run: Run, folder: str) -> int:
    return int(run.record(folder).counts.get("exit_status", 0))
