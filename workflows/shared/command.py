"""What the entry points of the stages share: read settings, run stages, give the exit status."""

import sys

from infra import cluster, outages
from infra.errors import SettingsError, ending
from infra.leases import lease
from infra.runs import Run
from infra.settings import command_line
from infra.settings.settings import Settings
from workflows.shared import source_survey
from workflows.shared.artifacts import refuse_other_clips
from workflows.stages import STAGES


def main(names: list[str], about: str) -> int:
    """Run the named stages while the run folder's lease is held; returns the exit status
    (infra/errors.py)."""
    program = f"{names[0] if len(names) == 1 else 'full'}.py"
    stages = [STAGES[name] for name in names]
    with ending(program) as end, outages.reporting():
        chosen = command_line.load(sys.argv[1:], program, about)
        run = Run(chosen.run, forced(chosen.force), chosen)
        modules = [stage.load() for stage in stages]
        source_survey.forget_listings()
        if "preprocess" not in names:  # which itself refuses, or redoes the clips
            refuse_other_clips(run, chosen)
        for module in modules:
            # What can be refused is refused before hours of work and before a file is written.
            getattr(module, "check", _nothing)(chosen)
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
