"""Which weights can stand beside the run's own, and what a run remembers of them."""

from pathlib import Path

import pytest
import torch

from infra.errors import RunError, SettingsError
from infra.runs import Run
from infra.settings.command_line import load
from infra.settings.settings import Settings
from model.network import build
from model.weights import save_weights
from tests.support.media import moving_square, write_images
from workflows.enhancement import stage
from workflows.enhancement.models import check_larger, digests, loaded

Models = dict[int, Path]


def weights(path: Path, low_size: int, seed: int = 0, **header: str) -> Path:
    """Those of an untrained network whose input is so wide."""
    torch.manual_seed(seed)
    save_weights(build("f1", scale=2, size=2 * low_size, width=0.125), path, header)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return {size: weights(tmp_path / f"of_{size}.safetensors", size) for size in (32, 64)}


def using(tmp_path: Path, *models: Path) -> Settings:
    """Settings of a run whose own network has an input of 16 pixels."""
    enhance = {"source": str(tmp_path / "films"), "faces": "aligned", "variant": "f1",
               "large": "nearest-model", "models": [str(path) for path in models]}  # fmt: skip
    return Settings.model_validate({"run": str(tmp_path / "run"), "enhance": enhance})


def refused(tmp_path: Path, *models: Path) -> str:
    with pytest.raises(SettingsError, match=f"^enhance.models {models[-1]}: ") as error:
        check_larger(using(tmp_path, *models))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_each_input_has_one_network(tmp_path: Path, models: Models) -> None:
    check_larger(using(tmp_path, *models.values()))
    twice = weights(tmp_path / "twice.safetensors", 32)
    assert f"32 pixels wide, as that of {models[32]}" in refused(tmp_path, models[32], twice)
    own = weights(tmp_path / "own.safetensors", 16)
    assert "16 pixels wide, as that of enhance.variant f1" in refused(tmp_path, own)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"scale": "0"}, "scale 0, size 64"),
        ({"scale": "two"}, "two"),
        ({"variant": "f4"}, "variant 'f4': an even window"),
        ({"variant": "g1"}, "variant 'g1': expected"),
        ({"variant": "bicubic"}, "fit bicubic"),
        ({"variant": "f3"}, "do not fit f3"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    header: dict[str, str], said: str, tmp_path: Path
) -> None:
    assert said in refused(tmp_path, weights(tmp_path / "m", 32, **header))


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, models: Models) -> None:
    refused(tmp_path, tmp_path / "nowhere.safetensors")
    refused(tmp_path, tmp_path)
    with pytest.raises(SettingsError, match=r"enhance\.models none://m: .*Protocol not known"):
        digests(["none://m"], Run(str(tmp_path)))
    content = models[32].read_bytes()
    for damaged in (b"", content[:5], content[: len(content) // 2], bytes(len(content))):
        models[32].write_bytes(damaged)
        refused(tmp_path, models[32])


@pytest.mark.parametrize("arguments", [("--enhance.models", "m"), ("--enhance.large", "degrade")])
def test_models_and_nearest_model_go_together(arguments: tuple[str, str]) -> None:
    more = ["--enhance.models", "m"] if arguments[0] == "--enhance.large" else []
    with pytest.raises(SettingsError, match="models and large nearest-model are of use together"):
        load([*arguments, *more], "enhance.py", "")


def test_weights_of_another_size_than_the_runs_clips_are_refused(tmp_path: Path) -> None:
    """They are told by their header where nothing is said; here the run has settings of its own."""
    path = weights(tmp_path / "w.safetensors", 24)
    chosen = Settings.model_validate({"enhance": {"weights": str(path), "variant": "f1"}})
    with pytest.raises(SettingsError, match=r"restores 24 pixels ×2, and the run's clips have 16"):
        loaded(chosen, Run(str(tmp_path / "run")))
    chosen.clip.size, chosen.clip.scale = 48, 2
    (model,) = loaded(chosen, Run(str(tmp_path / "run")))
    assert (model.variant, model.scale, model.low_size, model.reach) == ("f1", 2, 24, 0)
    assert (model.uri, len(model.sha256)) == (str(path), 64)


@pytest.fixture
def restored(tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that has restored films with both models; restoring itself is left out."""
    write_images(tmp_path / "films/a", ["0.png", "1.png"], moving_square(2))
    monkeypatch.setattr(stage, "_restored", lambda *_: [])
    run = Run(str(tmp_path / "run"))
    with run.stage("train", "train/f1", {}, []):
        save_weights(build("f1", 4, 64, 0.125), run.path("train/f1/weights.safetensors"))
    stage.enhance(using(tmp_path, *models.values()), run)
    return run


def test_a_complete_stage_asks_for_no_models(
    restored: Run, tmp_path: Path, models: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given in another order, and gone one after the other."""
    for path in models.values():
        stage.enhance(using(tmp_path, *reversed(models.values())), restored)
        path.unlink()
        stage.enhance(using(tmp_path, *models.values()), restored)
    assert capsys.readouterr().out.count("complete since") == 4
    with pytest.raises(RunError, match=r"enhance\.models was \[.*of_32"):
        stage.enhance(using(tmp_path, models[32]), restored)


def test_a_model_of_other_content_is_another_setting(
    restored: Run, tmp_path: Path, models: Models
) -> None:
    before = digests([str(models[32])], restored)
    weights(models[32], 32, seed=1)
    assert digests([str(models[32])], restored) != before
    models[64].unlink()  # and what is gone does not hide it
    with pytest.raises(RunError, match=r"enhance: .* enhance\.models was \["):
        stage.enhance(using(tmp_path, *models.values()), restored)


def test_films_are_not_compared_where_they_could_not_be_restored(
    restored: Run,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stage, "complete_receipts", lambda _: [object()])
    models[32].unlink()
    assert stage.changes(using(tmp_path, *models.values()), restored, "") == ""
    assert f"films are not compared: enhance.models {models[32]}" in capsys.readouterr().out


@pytest.mark.usefixtures("restored")
def test_where_work_is_left_a_model_that_is_gone_is_named(tmp_path: Path, models: Models) -> None:
    models[32].unlink()
    anew = Run(str(tmp_path / "run"), frozenset(["enhance"]))
    with pytest.raises(SettingsError, match=rf"enhance\.models {models[32]}: .*No such file"):
        stage.enhance(using(tmp_path, *models.values()), anew)
    assert anew.is_complete("enhanced"), "what is refused changes nothing"
    (tmp_path / "run/enhanced/stage.json").unlink()
    with pytest.raises(SettingsError, match=r"No such file"):
        stage.enhance(using(tmp_path, *models.values()), Run(anew.uri))
