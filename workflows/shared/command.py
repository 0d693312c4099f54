"""What the entry points of the stages share: read settings, run stages, give the exit status."""

import sys
from collections.abc import Callable

from infra import cluster, outages
from infra.errors import SettingsError, ending
from infra.leases import lease
from infra.nodes import preflight
from infra.nodes.preflight import Needs
from infra.progress import say
from infra.runs import Run
from infra.settings import command_line
from infra.settings.settings import Settings
from workflows.shared import source_survey
from workflows.shared.artifacts import refuse_other_clips
from workflows.shared.face_models import finding
from workflows.stages import STAGES, StageInfo


def main(names: list[str], about: str) -> int:
    """Run the named stages while the run folder's lease is held; returns the exit status
    (infra/errors.py)."""
    program = f"{names[0] if len(names) == 1 else 'full'}.py"
    stages = [STAGES[name] for name in names]
    with ending(program) as end, outages.reporting():
        chosen = command_line.load(sys.argv[1:], program, about)
        run = Run(chosen.run, forced(chosen.force), chosen, alone=len(names) == 1)
        modules = [stage.load() for stage in stages]
        source_survey.forget_listings()
        finding.forget()
        if "preprocess" not in names:  # which itself refuses, or redoes the clips
            refuse_other_clips(run, chosen, other_films=names == ["enhance"])
        for stage, module in zip(stages, modules, strict=True):
            # What can be refused is refused before hours of work and before a file is written.
            _check(run, stage, getattr(module, "check", _nothing), chosen)
        ahead = [s for s in stages if s.name in run.force or not run.is_complete(s.folder)]
        preflight.expect(_needs(ahead, chosen, run))
        with lease.held(run.uri, program):
            try:
                for stage, module in zip(stages, modules, strict=True):
                    end.at_work = f"stage {stage.name}"
                    getattr(module, stage.name)(chosen, run)
            finally:
                cluster.disconnect()  # while the lease is held: workers may still write
            run.ended(stage.folder for stage in stages)
        end.status = max(_status(run, stage.folder) for stage in stages)
    return end.status


def _check(run: Run, stage: StageInfo, check: Callable[[Settings], None], chosen: Settings) -> None:
    """Run a stage's check. Where the stage is complete already, what has gone meanwhile, such as
    the films of a run that was copied, is said and no error: other settings it refuses itself."""
    try:
        check(chosen)
    except SettingsError as error:
        # The record of train is of those of its variants.
        if stage.name in ("train", *run.force) or not run.is_complete(stage.folder):
            raise
        say(stage.name, f"is complete, though now it could not be made: {error}")


def _needs(stages: list[StageInfo], chosen: Settings, run: Run) -> list[Needs]:
    """What the stages need of Ray; nothing for one that does not need it."""
    asked = [getattr(stage.load(), "needs", lambda *_: None)(chosen, run) for stage in stages]
    return [needs for needs in asked if needs is not None]


def _nothing(_: Settings) -> None:
    """The check of a stage whose settings pydantic has checked already."""


def forced(names: list[str]) -> frozenset[str]:
    """The stages to redo: those named and all that come after the first of them."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise SettingsError(f"force: no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    order = list(STAGES)
    return frozenset(order[min(map(order.index, names)) :]) if names else frozenset()


def _status(run: Run, folder: str) -> int:
    return int(run.record(folder).counts.get("exit_status", 0))
