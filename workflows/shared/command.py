"""What the entry points of the stages share: read settings, run stages, give the exit status."""

import sys

from infra import cluster, outages
from infra.errors import RunError, SettingsError, ending
from infra.runs import Run
from infra.settings import command_line, of_run
from infra.settings.settings import Settings
from workflows.shared import source_survey
from workflows.stages import STAGES


def main(names: list[str], about: str) -> int:
    """Run the named stages; returns the exit status (infra/errors.py)."""
    program = f"{names[0] if len(names) == 1 else 'full'}.py"
    stages = [STAGES[name] for name in names]
    try:
        with ending(program) as end, outages.reporting():
            chosen = command_line.load(sys.argv[1:], program, about)
            run = Run(chosen.run, forced(chosen.force), chosen)
            modules = [stage.load() for stage in stages]
            source_survey.forget_listings()
            refuse_other_data(run, chosen, names)
            for module in modules:
                # What can be refused is refused before hours of work and before a file is written.
                getattr(module, "check", _nothing)(chosen)
            for stage, module in zip(stages, modules, strict=True):
                end.at_work = f"stage {stage.name}"
                getattr(module, stage.name)(chosen, run)
            run.ended(stage.folder for stage in stages)
            end.status = max(_status(run, stage.folder) for stage in stages)
        return end.status
    finally:
        cluster.disconnect()


def _nothing(_: Settings) -> None:
    """The check of a stage whose settings pydantic has checked already."""


def refuse_other_data(run: Run, settings: Settings, names: list[str]) -> None:
    """Raise RunError where the run's clips were made with other settings than these, naming each
    field: no stage behind preprocess, and no tool, fits clips of another size or another kind.

    Where preprocess is among the stages it says so itself, or redoes the clips.
    """
    if "preprocess" in names or not run.is_complete("clips"):
        return
    found = run.record("clips").settings
    wanted = {
        "clip": settings.clip.stored(),
        "preprocess": settings.preprocess.made_from(),
        "synthetic": settings.synthetic.made_from(),
        "seed": settings.seed,
    }
    both = [name for name in wanted if name in found]
    changed = of_run.differences({n: found[n] for n in both}, {n: wanted[n] for n in both})
    if fields := sorted(changed):
        raise RunError(
            f"{run.uri}: its clips were made with other settings: {'; '.join(fields)}. "
            "Leave these out, give the --config that it was made with, or give another --run"
        )


def forced(names: list[str]) -> frozenset[str]:
    """The stages to redo: those named and all that come after the first of them."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise SettingsError(f"force: no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    order = list(STAGES)
    return frozenset(order[min(map(order.index, names)) :]) if names else frozenset()


def _status(run: Run, folder: str) -> int:
    return int(run.record(folder).counts.get("exit_status", 0))
