"""The search's decisions: its space, the Pareto front, the chosen trial, tables and figures."""

import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import optuna
import pytest
from ray.tune import Result

from infra import storage
from infra.errors import RunError, SettingsError
from infra.runs import Run, Stage
from infra.settings.command_line import load
from infra.settings.settings import Settings
from infra.settings.training import TuneSettings
from workflows.search import ended, pareto, plots
from workflows.search import stage as tune
from workflows.search.space import search_space, tune_config
from workflows.search.trial import resources, weights_of
from workflows.training import restoration


def row(trial: str, psnr: float, verification: float | None, **more: Any) -> pareto.Row:
    return {
        "trial": trial, "variant": "f5warp", "num_frames": 5, "warp": True, "steps": 30,
        "perceptual": {"pool3": 3.0, "pool4": 40.0}, "learning_rate": None,
        "psnr": psnr, "verification": verification, **more,
    }  # fmt: skip


ROWS = [row("a", 20.0, 90.0), row("b", 22.0, 88.0), row("c", 24.0, 80.0), row("d", 21.0, 87.0),
        row("e", 22.0, 85.0)]  # fmt: skip


def test_the_front_is_what_no_other_trial_beats() -> None:
    """Against the definition: no other is ≥ in both and > in one."""
    assert [found["trial"] for found in pareto.front(ROWS)] == ["a", "b", "c"]
    draws = np.random.default_rng(1).integers(0, 6, (40, 2))
    rows = [row(str(i), float(p), float(v)) for i, (p, v) in enumerate(draws)]
    expected = {
        str(i) for i, one in enumerate(draws)
        if not any((other >= one).all() and (other > one).any() for other in draws)
    }  # fmt: skip
    assert {found["trial"] for found in pareto.front(rows)} == expected


def test_the_chosen_trial() -> None:
    """Both: distances from (24, 90) in units of the front's spread (4, 10) are a 1, b 0.29, c 1."""
    assert pareto.chosen(ROWS, "psnr")["trial"] == "c"
    assert pareto.chosen(ROWS, "verification")["trial"] == "a"
    assert pareto.chosen(ROWS, "both")["trial"] == "b"
    # Where b is missing the two ends tie, and verification decides.
    assert pareto.chosen([ROWS[0], ROWS[2]], "both")["trial"] == "a"
    assert (
        pareto.chosen([row("x", 20.0, 50.0), row("y", 21.0, 50.0)], "verification")["trial"] == "y"
    )


def test_best_json_holds_the_front_only_with_two_objectives() -> None:
    both = pareto.best_json(ROWS, "both")
    assert both["trial"] == "b"
    assert [found["trial"] for found in both["front"]] == ["a", "b", "c"]
    assert "nearest" in both["rule"]
    assert "front" not in pareto.best_json(ROWS, "psnr")


def test_the_table_shows_what_was_searched() -> None:
    table = pareto.table([row("z", 30.0, 81.25, learning_rate=2e-4)])
    assert table == [
        ["trial", "variant", "λ pool3", "λ pool4", "learning rate", "steps", "PSNR [dB]",
         "verification [%]"],
        ["z", "f5warp", "3", "40", "0.0002", "30", "30.00", "81.2"],
    ]  # fmt: skip


def test_the_best_psnr_is_on_top_and_unmeasured_is_a_dash() -> None:
    table = pareto.table([ROWS[0], row("z", 30.0, None)])
    assert [cells[0] for cells in table[1:]] == ["z", "a"]
    assert table[1][-1] == "–"
    assert "learning rate" not in table[0]


@pytest.mark.parametrize("metrics", [(80.0, 90.0), (None, None)])
def test_figures_are_drawn_for_what_was_measured(metrics: tuple[float | None, ...]) -> None:
    rows = [row("a", 20.0, metrics[0], learning_rate=1e-4),
            row("b", 22.0, metrics[1], learning_rate=2e-4, num_frames=1, warp=False)]  # fmt: skip
    drawn = plots.figures(rows, "b")
    assert set(drawn) == {"search_frames", "search_weights", "search_parallel"}
    for content in drawn.values():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[1] > 600
        assert image.std() > 5


def test_a_search_of_frames_alone_has_no_figure_of_weights() -> None:
    assert set(plots.figures([row("a", 20.0, 80.0, perceptual={})], "a")) == {
        "search_frames", "search_parallel",
    }  # fmt: skip


def test_space_follows_the_settings() -> None:
    settings = Settings()
    assert set(search_space(settings.tune)) == {"num_frames", "warp", "pool3", "pool4"}
    settings.tune = TuneSettings(
        num_frames=[1, 9], warp=[True, False], layers=["fc7"], perceptual_min=100,
        perceptual_max=1e6, learning_rate_min=1e-5, learning_rate_max=1e-3,
    )  # fmt: skip
    space = search_space(settings.tune)
    assert set(space) == {"num_frames", "warp", "fc7", "learning_rate"}
    assert space["num_frames"].categories == [1, 9]
    assert space["warp"].categories == [True, False]
    assert (space["fc7"].lower, space["fc7"].upper) == (100, 1e6)
    drawn = [space["learning_rate"].sample() for _ in range(200)]
    assert 1e-5 <= min(drawn) < 1e-4 < max(drawn) <= 1e-3
    assert weights_of({"fc7": 200.0, "num_frames": 9}, ["fc7"]) == {"fc7": 200.0}


def test_lists_on_the_command_line() -> None:
    chosen = load(["--tune.warp", "true,false", "--tune.layers", "fc7", "--tune.num-frames", "1,9",
                   "--tune.metric", "both"], "tune.py", "").tune  # fmt: skip
    assert (chosen.warp, chosen.layers, chosen.num_frames) == ([True, False], ["fc7"], [1, 9])
    assert pareto.objectives(chosen.metric) == ["psnr", "verification"]


def test_two_objectives_stop_no_trial() -> None:
    settings = Settings()
    assert tune_config(settings.tune, 0).scheduler is not None
    settings.tune.metric = "both"
    config = tune_config(settings.tune, 0)
    assert (config.metric, config.scheduler) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"learning_rate_min": 1e-4}, "give both"),
        ({"perceptual_min": 5.0, "perceptual_max": 5.0}, "perceptual_min 5 must be below"),
        ({"num_frames": []}, "at least one"),
    ],
)
def test_spaces_that_are_none_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TuneSettings(**wrong)


@pytest.mark.parametrize(
    ("frames", "steps", "said"),
    [
        (4, [], "4 must be odd"),
        (27, [], "27 needs 27 frames a clip, clip.num_frames is 25"),
        (9, [1, 4], "9 needs 33 frames a clip, 4 apart, clip.num_frames is 25"),
    ],
)
def test_windows_that_no_clip_holds_are_refused(frames: int, steps: list[int], said: str) -> None:
    settings = Settings()
    settings.tune.num_frames, settings.tune.frame_step = [1, frames], steps
    with pytest.raises(SettingsError, match=rf"tune\.num_frames: {said}"):
        tune.check(settings)
    # What a search may choose is trained on afterwards.
    settings.train.variants = [f"f{frames}"] if frames % 2 else ["f27"]
    with pytest.raises(SettingsError, match=r"train\.variants: f\d+ needs"):
        restoration.check(settings)


def test_trials_with_workers_leave_the_cluster_to_them() -> None:
    settings = Settings()
    assert resources(settings)["cpu"] == settings.tune.cpus_per_trial
    settings.tune.workers = 1
    assert resources(settings)["cpu"] <= 0.01


def test_failed_trials_are_told_in_one_line_each() -> None:
    lost = RuntimeError("trial_2\nTraceback\n  a file\nTrainingError: step 9: NaN\n")
    results = [Result({}, None, error, f"run/tune/search/{name}")
               for name, error in (("trial_1", None), ("trial_2", lost))]  # fmt: skip
    assert tune.failures(results) == {"trial_2": "TrainingError: step 9: NaN"}


@pytest.mark.parametrize(("searched", "used"), [(2e-4, 2e-4), (None, 7e-4)])
def test_train_takes_what_the_search_chose(
    searched: float | None, used: float, tmp_path: Path
) -> None:
    run, settings = Run(str(tmp_path)), Settings()
    settings.train.learning_rate = 7e-4
    settings.train.perceptual = {"fc7": 5.0}
    with run.stage("tune", "tune", {}, []) as stage:
        assert stage is not None
        rows = [row("a", 20.0, 80.0, learning_rate=searched)]
        storage.write_json(stage.path("best.json"), pareto.best_json(rows, "psnr"))
    chosen, perceptual = restoration._chosen(settings, run)
    assert (perceptual, chosen.train.learning_rate) == ({"pool3": 3.0, "pool4": 40.0}, used)
    assert chosen.clip.frame_step == settings.clip.frame_step
    settings.train.use_search = False
    chosen, perceptual = restoration._chosen(settings, run)
    assert (perceptual, chosen.train.learning_rate) == ({"fc7": 5.0}, 7e-4)


def test_one_frame_has_no_frame_step() -> None:
    """Whatever was drawn for it: else the other variants would be trained with that."""
    config = {"num_frames": 1, "warp": True, "frame_step": 3, "pool3": 1.0, "pool4": 1.0}
    metrics = {"validation_psnr": 20.0, "step": 3, "trial_id": "a"}
    rows = [tune.row_of(config, metrics, TuneSettings().layers),
            tune.row_of(config | {"num_frames": 5}, metrics, TuneSettings().layers)]  # fmt: skip
    assert [made["frame_step"] for made in rows] == [None, 3]
    titles, *lines = pareto.table(rows)
    assert sorted(line[titles.index("frame step")] for line in lines) == ["3", "–"]


def test_train_takes_the_frame_step_that_was_searched(tmp_path: Path) -> None:
    run, settings = Run(str(tmp_path)), Settings()
    with run.stage("tune", "tune", {}, []) as stage:
        assert stage is not None
        rows = [row("a", 20.0, 80.0) | {"frame_step": 3}]
        storage.write_json(stage.path("best.json"), pareto.best_json(rows, "psnr"))
    chosen, _ = restoration._chosen(settings, run)
    assert chosen.clip.frame_step == 3
    titles, line = pareto.table(rows)
    assert line[titles.index("frame step")] == "3"


def drawn(trial: str, psnr: float, **config: Any) -> ended.Ended:
    space = {"num_frames": 1, "warp": True, "pool3": 3.0, "pool4": 40.0} | config
    return ended.Ended(config=space, trial_id=trial, step=4, validation_psnr=psnr)


def test_ended_trials_come_back_as_they_were(tmp_path: Path) -> None:
    uri = str(tmp_path / "ended.json")
    assert ended.read(uri) == []
    kept = [drawn("a", 20.5), drawn("b", float("nan"), warp=False, num_frames=5)]
    ended.write(uri, kept)
    found = ended.read(uri)
    assert repr(found) == repr(kept)
    assert [type(value) for value in found[1].config.values()] == [int, bool, float, float]


def test_optuna_goes_on_from_what_ended_where_it_says_anything() -> None:
    options = TuneSettings(num_frames=[1, 5], warp=[True, False])
    space = search_space(options)
    kept = [drawn("a", 20.5), drawn("b", float("nan")), drawn("c", 21.5, num_frames=5)]
    memory = ended.seen_by_optuna(kept, space, ["validation_psnr"])
    study = optuna.load_study(study_name="search", storage=memory)
    assert study.best_params == kept[2].config
    assert [trial.values for trial in study.trials] == [[20.5], None, [21.5]]
    # Of one objective that was not measured nothing can be learnt for two.
    memory = ended.seen_by_optuna(kept, space, ["validation_psnr", "validation_verification"])
    study = optuna.load_study(study_name="search", storage=memory)
    assert study.best_trials == []


@pytest.mark.parametrize(
    "content",
    [
        b"no JSON",
        b'[{"config": {}, "trial_id": "a", "step": 4}]',
        b'[{"config": {"num_frames": 99}, "trial_id": "a", "step": 4, "validation_psnr": 20}]',
    ],
)
def test_a_search_that_another_version_began_is_refused_in_one_line(
    content: bytes, tmp_path: Path
) -> None:
    """Before anything is started: a file that is not ours, and a trial of another space."""
    run = Run(str(tmp_path))
    storage.write_bytes(run.path("tune", "ended.json"), content)
    with pytest.raises(RunError, match=r"another version.*--force tune"):
        tune._search(Settings(), run, Stage("tune", run.path("tune"), ""))


def test_an_interrupt_is_heard_wherever_it_comes(tmp_path: Path) -> None:
    """What is raised in a destructor is ignored by Python. A second one is raised at once."""

    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has none
    try:
        progress = tune.Progress(2, str(tmp_path / "ended.json"))
        with tune._interrupts_noted(progress):
            progress.on_step_end(1, [])
            Dying()
            with pytest.raises(KeyboardInterrupt):
                progress.on_step_end(2, [])
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
