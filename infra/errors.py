"""The errors that end a command with one line of text, and the exit status of each.

0 all done; 1 done, but more inputs ended as error rows than is allowed; 2 bad settings or unusable
input; 3 stopped by a fault (a full disk, lost workers, storage that stays away) or by an error of
the program itself, and the same command goes on from there; 130 stopped by Ctrl-C, likewise. 2, 3
and 130 end in one line of text.

The standard library alone: a machine may lack what else is needed (workflows/gpu.py).
"""

import argparse
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from infra.nodes.terminal import leave
from infra.text import one_line, printable

STOPPED = 130  # as a shell has it: 128 and the number of SIGINT
ROOMS = ("workflows", "model", "datasets", "infra", "tests")


class FacestackError(Exception):
    """Base of the errors whose text is meant for the user: what, why, and the remedy."""

    status = 2


class SettingsError(FacestackError):
    """A setting is unknown, of the wrong type, or at odds with another one."""


class InputError(FacestackError):
    """Input that cannot be used: a film, its labels, a shard, the file of a model.

    The text names the file; `kind` says what is wrong in words that are the same for every file,
    so that errors can be counted.
    """

    def __init__(self, text: str, kind: str = "") -> None:
        super().__init__(text)
        self.kind = kind or type(self).__name__

    @classmethod
    def at(cls, where: str, kind: str, detail: str = "") -> Self:
        """The error whose text is `where: kind`, and the `detail` behind it."""
        return cls(f"{where}: {kind}{detail}", kind)


class RunError(FacestackError):
    """A run folder does not fit the settings, or lacks what a stage needs."""

    @classmethod
    def of_another_version(cls, stage: str) -> Self:
        """The error where what is left of a stage was written by another version of this code."""
        return cls(
            f"{stage}: was begun by another version of facestack; begin anew with --force {stage}"
        )


class TrainingError(FacestackError):
    """Training cannot start or go on: no data, a loss that is not finite, a refused checkpoint."""


class FaultError(FacestackError):
    """What a run stands on gave way: a disk, the storage, a worker. The same command goes on."""

    status = 3


@dataclass
class Ending:
    """How a command ends: its exit status, and what it is at, for an error that nobody foresaw."""

    at_work: str
    status: int = 0


@contextmanager
def ending(program: str) -> Iterator[Ending]:
    """Around the whole of an entry point: an error is said in one line and becomes its status."""
    end = Ending(program)
    try:
        yield end
    except FacestackError as error:
        leave()
        print(printable(f"error: {one_line(error)}"), file=sys.stderr)
        end.status = error.status
    except ModuleNotFoundError as error:
        if _ours(error):
            raise
        print(_lacking(error), file=sys.stderr)
        end.status = SettingsError.status
    except KeyboardInterrupt:
        leave()
        print(f"error: {end.at_work}: stopped; the same command goes on", file=sys.stderr)
        end.status = STOPPED
    except Exception as error:
        leave()
        traceback.print_exc()
        said = f"{end.at_work}: {type(error).__name__}: {one_line(error, 200)}"
        print(printable(f"error: {said}; traceback above"), file=sys.stderr)
        end.status = FaultError.status


@contextmanager
def importing() -> Iterator[None]:
    """Around the imports of an entry script: what cannot be imported ends the program likewise."""
    with ending(Path(sys.argv[0]).name) as end:
        yield
    if end.status:
        sys.exit(end.status)


class Parser(argparse.ArgumentParser):
    """Tells a mistake in the call as the settings do."""

    def error(self, message: str) -> NoReturn:
        """Raise SettingsError in place of printing all options."""
        raise SettingsError(f"{message} (see --help)")


def _ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "").partition(".")[0] in ROOMS


def _lacking(error: ModuleNotFoundError) -> str:
    return (
        f"error: no package {error.name!r} in {sys.executable}: give `. .venv/bin/activate` first, "
        "after `make setup` where there is no .venv"
    )
