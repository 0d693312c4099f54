"""Stage tune: a search over frame counts and perceptual weights, scored on validation people."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import ray.tune

from infra import cluster, process, storage
from infra.errors import RunError, SettingsError
from infra.nodes.preflight import Needs, require
from infra.progress import say
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from infra.settings.training import Layer
from model.variants import variant_name
from workflows.search import ended, pareto, plots
from workflows.search.space import Config, measured, search_space, tune_config
from workflows.search.trial import resources, trial, weights_of
from workflows.shared import artifacts
from workflows.shared.restoring import validation_clips
from workflows.shared.tables import Cell, Table, comma_separated, markdown
from workflows.training.restoration import check_window
from workflows.training.validation import PAIRS, pairs_of

Row = pareto.Row


def tune(settings: Settings, run: Run) -> None:
    """Write `tune/best.json`, all trials as `tune/trials.{json,csv,md}`, and `tune/figures/`."""
    options = settings.tune
    used = {
        "tune": options.made_from() | {"workers": max(1, options.workers)},
        "train": _shared(settings),
        "clip": settings.clip.model_dump(),
        "network": settings.network.model_dump(),
        "seed": settings.seed,
    }
    with run.stage("tune", "tune", used, ["clips", "recogniser", "pretrain"]) as stage:
        if stage is None:
            return
        _check_validation(settings, run)
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        require(needs(settings, run))
        rows, failed = _search(settings, run, stage)
        best = pareto.best_json(rows, options.metric)
        _write(stage, rows, failed, best)
        stage.counts |= {"trials": len(rows), "best": best["variant"]}
        if failed:
            stage.counts["failed_trials"] = failed
        for name in pareto.objectives(options.metric):
            stage.counts[name] = round(best[name], 2)


def needs(settings: Settings, run: Run) -> Needs:
    """What the stage needs of Ray's nodes."""
    options = settings.tune
    return Needs(
        "tune", run.uri, options.cpus_per_trial, settings.train.gpus_per_worker,
        max(1, options.workers), "tune.cpus_per_trial, train.gpus_per_worker, tune.workers",
    )  # fmt: skip


def check(settings: Settings) -> None:
    """Raise SettingsError for a frame count that no clip can give."""
    for frames in settings.tune.num_frames:
        if frames % 2 == 0:
            raise SettingsError(f"tune.num_frames: {frames} must be odd, with a central frame")
        for step in settings.tune.frame_step or [settings.clip.frame_step]:
            check_window(settings.clip.num_frames, "tune.num_frames", frames, frames, step)


def _shared(settings: Settings) -> dict[str, Any]:
    """What every trial takes from the settings of train."""
    own = {"variants", "steps", "epochs", "minutes", "schedule", "perceptual", "use_search",
           "evaluate_every", "workers", "init_from"}  # fmt: skip
    found = {name: value for name, value in settings.train.made_from().items() if name not in own}
    if settings.tune.learning_rate_min is not None:
        del found["learning_rate"]
    return found


def _check_validation(settings: Settings, run: Run) -> None:
    """Refuse before hours of work what could not be compared at their end."""
    some = validation_clips(artifacts.shards(run, "validation"), settings.train.validation_clips)
    if some is None:
        raise RunError(
            "tune: no clip in the validation split, so trials cannot be compared; "
            "add videos of more people or change preprocess.validation_share"
        )
    if settings.tune.metric != "psnr" and pairs_of(some, settings.seed, PAIRS) is None:
        raise RunError(
            "tune: the validation clips give no pair of one person and of two, so verification "
            "cannot be measured; raise train.validation_clips, or give --tune.metric psnr"
        )


def _search(settings: Settings, run: Run, stage: Stage) -> tuple[list[Row], dict[str, str]]:
    """The trials that were validated, and of the others why they failed, by name."""
    options = settings.tune
    progress = Progress(options.trials, stage.path(ended.FILE))
    failed: dict[str, str] = {}
    if len(progress.ended) < options.trials:
        failed = _fit(settings, run, progress)
    if not progress.ended:
        raise RunError(f"tune: every trial failed; the first said: {next(iter(failed.values()))}")
    for name, reason in failed.items():
        say("tune", f"trial {name} failed, and is left out: {reason}")
    rows = [row_of(row.config, row.model_dump(), options.layers) for row in progress.ended]
    return rows, failed


def _fit(settings: Settings, run: Run, progress: "Progress") -> dict[str, str]:
    """Run the trials that have not ended; returns why some of them failed, by name."""
    options, space = settings.tune, search_space(settings.tune)
    memory = ended.seen_by_optuna(progress.ended, space, measured(options))
    process.set_defaults(process.TUNE)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each study
    trainable = ray.tune.with_resources(
        partial(trial, settings=settings, run=run), resources(settings)
    )
    # What Tune writes is pickled, and it reads it back: that is no place for others to write to.
    with TemporaryDirectory(prefix="facestack-search-") as folder, _interrupts_noted(progress):
        tuner = ray.tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune_config(options, settings.seed, len(progress.ended), memory),
            run_config=ray.tune.RunConfig(
                name="search", storage_path=folder, verbose=0, callbacks=[progress]
            ),
        )
        try:
            results = tuner.fit()
            if progress.stopped:  # when the last step was over
                raise KeyboardInterrupt
            return failures(results)
        except KeyboardInterrupt as stopped:
            raise RunError(
                "tune: stopped; trials that had ended are kept, the same command goes on with the "
                "rest"
            ) from stopped


@contextmanager
def _interrupts_noted(progress: "Progress") -> Iterator[None]:
    """Let Ctrl-C end the search at its next step, and a second one at once.

    Raised wherever it finds the process, which may be in a destructor, the first could be lost.
    """
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        progress.stopped = True
        signal.signal(signal.SIGINT, before)

    if callable(before):  # else interrupts are ignored here, as in a shell's background job
        signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        if callable(before):
            signal.signal(signal.SIGINT, before)


def failures(results: Iterable[Any]) -> dict[str, str]:
    """Name of each trial that ended with an error → what it said at last, in one line."""
    said = {Path(result.path).name: result.error for result in results if result.error}
    return {name: str(error).strip().splitlines()[-1] for name, error in said.items()}


class Progress(ray.tune.Callback):
    """Keeps each finished trial in a file, beside those of before, and says one line of it."""

    def __init__(self, trials: int, uri: str) -> None:
        self.trials = trials
        self.uri = uri
        self.ended = ended.read(uri)
        self.before = self.written = len(self.ended)
        self.stopped = False  # by the user

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Called by Tune; what fails here ends the search, where `on_trial_complete` would be told
        that its trial failed."""
        if len(self.ended) > self.written:
            ended.write(self.uri, self.ended)
            self.written = len(self.ended)
        if self.stopped:
            raise KeyboardInterrupt

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Called by Tune; also for a trial that the scheduler stopped."""
        # Tune notes the end of this one only after the call.
        done = self.before + 1 + sum(other.is_finished() for other in trials if other is not trial)
        result = trial.last_result
        if "validation_psnr" not in result:
            return
        self.ended.append(ended.Ended.model_validate(result))
        drawn = ", ".join(f"{name} {value:.3g}" for name, value in trial.config.items())
        same = result.get("validation_verification")
        say("tune", f"trial {done}/{self.trials} {trial.trial_id}: {drawn} → "
            f"PSNR {result['validation_psnr']:.2f} dB"
            + (f", verification {same:.1f} %" if same is not None else "")
            + f" after {result['step']:.0f} steps")  # fmt: skip


def row_of(config: Config, metrics: dict[str, Any], layers: list[Layer]) -> Row:
    """A trial as `trials.json` keeps it; learning_rate and frame_step are None where they
    were not searched."""
    return {
        "variant": variant_name(config["num_frames"], config["warp"]),
        "num_frames": config["num_frames"],
        "warp": bool(config["warp"] and config["num_frames"] > 1),
        "perceptual": weights_of(config, list(layers)),
        "learning_rate": config.get("learning_rate"),
        # One frame has none beside it: what was drawn for it says nothing.
        "frame_step": config.get("frame_step") if config["num_frames"] > 1 else None,
        "psnr": metrics["validation_psnr"],
        "verification": metrics.get("validation_verification"),
        "steps": int(metrics["step"]),
        "trial": metrics["trial_id"],
    }


def _write(stage: Stage, rows: list[Row], failed: dict[str, str], best: Row) -> None:
    titles, *lines = pareto.table(rows)
    table = Table(titles, [[Cell(text) for text in line] for line in lines])
    for name, content in plots.figures(rows, best["trial"]).items():
        storage.write_bytes(stage.path("figures", f"{name}.png"), content)
    storage.write_bytes(stage.path("trials.csv"), comma_separated(table).encode())
    left_out = "".join(f"\nTrial {name} failed: {reason}\n" for name, reason in failed.items())
    storage.write_bytes(stage.path("trials.md"), (markdown(table) + left_out).encode())
    storage.write_json(stage.path(artifacts.TRIALS), rows)
    storage.write_json(stage.path(artifacts.BEST), best)
