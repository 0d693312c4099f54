"""What a run was made with is the base of later commands, and old records know new settings."""

from pathlib import Path

import pytest

from infra.errors import RunError
from infra.runs import Run
from infra.settings import of_run
from infra.settings.command_line import load
from infra.settings.data import Operational, Section
from infra.settings.settings import Settings


def read(*arguments: str) -> Settings:
    return load(list(arguments), "full.py", "All stages.")


def made(run: Path, *arguments: str) -> Settings:
    """A command on a run that begins a stage."""
    chosen = read("--run", str(run), *arguments)
    with Run(str(run), settings=chosen).stage("train", "train/f1", {}, []):
        return chosen


def test_a_run_is_the_base_below_the_file_and_the_command_line(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "a.yaml"
    made(run, "--clip.size", "128", "--clip.scale", "8", "--train.steps", "7",
         "--train.perceptual", "pool3=10", "--train.batch-size", "3")  # fmt: skip
    file.write_text(f"run: {run}\ntrain: {{batch_size: 4}}\n")
    later = read("--config", str(file), "--train.perceptual", "fc7=2")
    assert (later.clip.size, later.clip.scale, later.train.steps) == (128, 8, 7)
    assert later.train.batch_size == 4
    assert later.train.perceptual == {"fc7": 2.0}, "a table is taken whole"
    assert read("--run", str(tmp_path / "another")).clip.size == Settings().clip.size


def test_what_is_said_of_one_command_is_not_remembered(tmp_path: Path) -> None:
    made(tmp_path, "--force", "train", "--retry-errors", "--update", "--cluster.cpus", "1",
         "--evaluate.export", "out", "--train.profile", "3")  # fmt: skip
    later = read("--run", str(tmp_path))
    assert (later.evaluate.export, later.train.profile) == (None, 0)
    assert (later.force, later.retry_errors, later.update) == ([], False, False)
    assert later.cluster.cpus is None


def test_steps_and_epochs_leave_each_other_out(tmp_path: Path) -> None:
    made(tmp_path, "--train.epochs", "3")
    later = read("--run", str(tmp_path))
    assert (later.train.epochs, later.train.steps) == (3, None)
    later = read("--run", str(tmp_path), "--train.steps", "5")
    assert (later.train.epochs, later.train.steps) == (None, 5)


def test_a_run_of_a_version_without_settings_keeps_its_films(tmp_path: Path) -> None:
    with Run(str(tmp_path)).stage("preprocess", "clips", {"source": "/films"}, []):
        pass
    made(tmp_path, "--train.steps", "7")
    assert read("--run", str(tmp_path)).source == "/films"


def test_a_source_or_a_model_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "run", "--source", "films", "--enhance.source", "others",
         "--preprocess.detector", "own.onnx", "--enhance.large", "nearest-model",
         "--enhance.models", "larger.safetensors")  # fmt: skip
    later = read("--run", str(tmp_path / "run"))
    assert (later.source, later.enhance.source) == (f"{tmp_path}/films", f"{tmp_path}/others")
    assert later.preprocess.detector == f"{tmp_path}/own.onnx"
    assert later.enhance.models == [f"{tmp_path}/larger.safetensors"]


def test_a_command_that_is_refused_or_skipped_changes_nothing(tmp_path: Path) -> None:
    first, steps = made(tmp_path, "--train.steps", "7"), {"train": {"steps": 7}}
    with Run(str(tmp_path), settings=first).stage("train", "train/f5", steps, []):
        pass
    before = (tmp_path / "settings.yaml").read_bytes()
    again = Run(str(tmp_path), settings=read("--run", str(tmp_path), "--train.steps", "9"))
    with again.stage("train", "train/f5", steps, []) as stage:
        assert stage is None
    with pytest.raises(RunError), again.stage("train", "train/f5", {"train": {"steps": 9}}, []):
        pass
    assert (tmp_path / "settings.yaml").read_bytes() == before


def test_what_clips_were_made_from_stays_when_a_later_stage_is_given_another(
    tmp_path: Path,
) -> None:
    """enhance may be given other films than those that the run was trained on."""
    made(tmp_path, "--source", "/films")
    chosen = read("--run", str(tmp_path), "--source", "/others", "--train.steps", "9",
                  "--enhance.limit", "7")  # fmt: skip
    with Run(str(tmp_path), settings=chosen).stage("enhance", "enhanced", {}, []):
        pass
    later = read("--run", str(tmp_path))
    assert (later.source, later.enhance.limit) == ("/films", 7)
    assert later.train.steps == Settings().train.steps, "enhance says nothing of train"


@pytest.mark.parametrize(
    ("content", "said"),
    [("train: {stepz: 1}\n", "train.stepz: unknown"), ("a: [", "not a YAML"), ("7", "no settings")],
)
def test_a_damaged_file_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(content)
    with pytest.raises(RunError, match=said) as refused:
        read("--run", str(tmp_path))
    assert "settings.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def differences(found: dict, wanted: dict) -> list[str]:
    return sorted(of_run.differences(found, wanted))


def test_a_setting_that_an_old_record_does_not_know_counts_as_its_default() -> None:
    new = {"train": {"steps": 5, "warp_rate": Settings().train.warp_rate, "clip": {"size": 64}}}
    old = {"train": {"steps": 5, "clip": {"size": 64}}}
    assert differences(old, new) == []
    new["train"]["warp_rate"] = 0.125
    assert differences(old, new) == ["train.warp_rate was 0.5, now 0.125"]
    new["train"] |= {"warp_rate": 0.5, "clip": {"size": 64, "degradation": "realistic"}}
    assert differences(old, new) == ['train.clip.degradation was "paper", now "realistic"']


def test_a_record_without_a_whole_section_says_nothing_of_it() -> None:
    found, wanted = {"seed": 0}, {"seed": 0, "clip": Settings().clip.stored()}
    assert differences(found, wanted) == []


def test_a_setting_on_which_no_result_depends_any_more_does_not_count() -> None:
    wanted = Settings().preprocess.made_from()
    assert differences({"preprocess": {**wanted, "max_pixels": 77}}, {"preprocess": wanted}) == []
    assert differences({"preprocess": {**wanted, "gone": 1}}, {"preprocess": wanted}) == [
        "preprocess.gone was 1, now null"
    ]


def test_operational_fields_are_marked_where_they_are_declared() -> None:
    """What is called alike is marked alike in every section; and `made_from` leaves just these."""
    by_name: dict[str, set[bool]] = {}
    for section in vars(Settings()).values():
        if not isinstance(section, Section):
            continue
        for name, field in type(section).model_fields.items():
            marked = Operational in field.metadata
            assert (name in section.made_from()) == (not marked)
            by_name.setdefault(name, set()).add(marked)
    # The worth of a training is judged by validations in recogniser and train, not in pretrain;
    # how many processes share a batch, or a trial has, is part of the record in words of its own.
    # The weights that enhance is given count by their content, wherever they lie.
    alike = {name for name, marks in by_name.items() if len(marks) > 1}
    assert alike == {"evaluate_every", "workers", "weights"}
