"""Settings: sources, priorities, and refusals in one line."""

from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.settings.command_line import load
from infra.settings.settings import Settings
from tests.support.root import ROOT


def read(*arguments: str) -> Settings:
    return load(list(arguments), "full.py", "All stages.")


def test_defaults_are_the_demo() -> None:
    """`demo.yaml` says nothing that the defaults do not, but that it restores a few films."""
    demo = read("--config", str(ROOT / "workflows/configs/demo.yaml"))
    assert demo.enhance.limit == 4
    demo.enhance.limit = None
    assert demo.model_dump(exclude={"config"}) == Settings().model_dump(exclude={"config"})


@pytest.mark.parametrize("path", sorted((ROOT / "workflows/configs").glob("*.yaml")), ids=str)
def test_every_file_of_settings_is_valid(path: Path) -> None:
    read("--config", str(path))


def test_fresh_frames_are_made_as_the_paper_makes_them() -> None:
    assert read("--train.fresh", "0.5").train.fresh == 0.5
    with pytest.raises(SettingsError, match=r"train\.fresh .* not realistic"):
        read("--train.fresh", "0.5", "--clip.degradation", "realistic")


def test_command_line_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("train: {steps: 7, batch_size: 3}\n")
    chosen = read("--config", str(file), "--train.batch-size", "5").train
    assert (chosen.steps, chosen.batch_size) == (7, 5)
    assert chosen.learning_rate == Settings().train.learning_rate


def test_every_field_with_a_number_takes_one_on_the_command_line() -> None:
    chosen = read("--train.zero-stage", "3", "--train.gpus-per-worker", "0.5").train
    assert (chosen.zero_stage, chosen.gpus_per_worker) == (3, 0.5)
    with pytest.raises(SettingsError, match=r"train\.zero_stage.*less than or equal to 3, got '4'"):
        read("--train.zero-stage", "4")


def test_underscores_and_hyphens_are_the_same() -> None:
    assert read("--train.batch_size=4").train.batch_size == 4
    assert read("--train.batch-size", "4").train.batch_size == 4


def test_none_lists_and_weights_on_the_command_line() -> None:
    chosen = read("--clip.blur-sigma", "none", "--train.variants", "f1,f5",
                  "--train.perceptual", "pool3=10", "--force", "train")  # fmt: skip
    assert chosen.clip.blur_sigma is None
    assert chosen.train.variants == ["f1", "f5"]
    assert chosen.train.perceptual == {"pool3": 10.0}
    assert chosen.force == ["train"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope", "3"], "--nope"),
        (["--train.steps", "abc"], "train.steps"),
        (["--clip.size", "65"], "clip"),
        (["--clip.num-frames", "24"], "must be odd"),
        (["--train.epochs", "3", "--train.steps", "3"], "exactly one of steps and epochs"),
        (["--train.perceptual", "pool9=1"], "pool9"),
        (["--preprocess.train-share", "0.9"], "test split"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_refusals_name_the_field_in_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(*arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_field_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("train: {stepz: 7}\n")
    with pytest.raises(SettingsError, match=r"train\.stepz: unknown setting"):
        read("--config", str(file))


def test_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names such as RUN and SEED are too common in environments."""
    monkeypatch.setenv("SEED", "17")
    monkeypatch.setenv("RUN", "elsewhere")
    assert (read().seed, read().run) == (0, "runs/demo")


def test_help_lists_every_field_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--train.learning-rate" in shown
    assert "(default: 0.0005)" in shown
    assert "[px]" in shown


def test_settings_survive_a_trip_to_a_worker() -> None:
    chosen = read("--clip.blur-sigma", "none", "--train.perceptual", "fc7=2")
    assert Settings(**chosen.model_dump()) == chosen
