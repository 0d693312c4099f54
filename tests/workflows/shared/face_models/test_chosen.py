"""A run finds all its faces by one detector, wherever its commands are given."""

import json
import shutil
from pathlib import Path

import fsspec
import pytest

from infra import storage
from infra.errors import RunError, SettingsError
from infra.runs import Run
from infra.settings.settings import Settings
from infra.text import sha256_of
from workflows.shared.artifacts import refuse_other_clips
from workflows.shared.face_models import finding
from workflows.shared.face_models.chosen import choose, keep, made_from, recorded
from workflows.shared.face_models.finding import forget
from workflows.shared.face_models.published import NAME

MODEL, OTHER = b"a model" * 100, b"another" * 100


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with one in it; no other can be had."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(finding, "build_detector", lambda *_: None)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / NAME).write_bytes(MODEL)
    monkeypatch.setenv("FACESTACK_MODELS", str(folder))
    forget()
    return folder


def asking(detector: str, faces: str = "detect") -> Settings:
    forget()  # as each command does
    settings = Settings()
    settings.preprocess.detector = detector
    settings.preprocess.faces = faces
    return settings


def kept(run: Run, detector: str) -> str | None:
    return keep(run, "preprocess", choose(asking(detector), run))


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_it_is_copied_into_the_run_and_taken_from_there(
    where: str, tmp_path: Path, models: Path
) -> None:
    run = Run(str(tmp_path / "run") if where == "disk" else "memory://detectors/run")
    uri = kept(run, "auto")
    assert uri == run.path("models", f"yunet-{sha256_of(MODEL)[:12]}.onnx")
    with fsspec.open(uri) as file:
        assert file.read() == MODEL
    shutil.rmtree(models)  # another machine: no model, no folder of them, no network
    for detector in ("auto", "yunet"):
        assert choose(asking(detector), run) == recorded(run)
        assert kept(run, detector) == uri
    with pytest.raises(SettingsError, match="no such folder"):
        choose(asking("auto"), run, anew=True)


def test_auto_stays_with_the_cascade_where_a_run_began_so(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(str(tmp_path / "run"))
    (models / NAME).unlink()
    assert kept(run, "auto") is None
    assert capsys.readouterr().out.count("of faces of 16 pixels it finds 80 %") == 1
    (models / NAME).write_bytes(MODEL)
    assert choose(asking("auto"), run).kind == "haar"
    assert kept(run, "auto") is None
    assert capsys.readouterr().out == "", "it was said when it was chosen"
    assert choose(asking("yunet"), run).kind == "yunet"
    assert choose(asking("auto"), run, anew=True).kind == "yunet"


def test_a_run_goes_on_without_the_file_it_was_given(tmp_path: Path) -> None:
    run, file = Run(str(tmp_path / "run")), tmp_path / "own.onnx"
    file.write_bytes(OTHER)
    uri = kept(run, str(file))
    assert choose(asking(f"file://{file}"), run) == recorded(run)
    file.unlink()
    assert kept(run, str(file)) == uri
    with pytest.raises(SettingsError, match=r"other\.onnx: No such file"):
        choose(asking(str(tmp_path / "other.onnx")), run)
    file.write_bytes(MODEL)  # which is not what the run has
    assert choose(asking(str(file)), run).sha256 == sha256_of(MODEL)


def test_another_detector_is_refused_as_any_other_setting(tmp_path: Path) -> None:
    run = Run(str(tmp_path / "run"))

    def begin(detector: str, run: Run = run) -> None:
        settings = asking(detector)
        choice = choose(settings, run, anew="preprocess" in run.force)
        used = {"preprocess": made_from(settings, choice)}
        with run.stage("preprocess", "clips", used, []) as stage:
            if stage is not None:
                keep(run, "preprocess", choice)

    begin("auto")
    for detector in ("auto", "yunet", str(tmp_path / "models" / NAME)):
        begin(detector)
        refuse_other_clips(run, asking(detector))
    with pytest.raises(
        RunError, match=r'preprocess\.detector was "yunet .*", now "haar"\. Give --f'
    ):
        begin("haar")
    with pytest.raises(RunError, match=r'preprocess\.detector was "yunet .*", now "haar"'):
        refuse_other_clips(run, asking("haar"))
    assert recorded(run) == choose(asking("auto"), run), "what is refused changes nothing"
    begin("haar", Run(run.uri, frozenset(["preprocess"])))
    assert choose(asking("auto"), run).kind == "haar"
    refuse_other_clips(run, asking("auto"))


def test_where_no_face_is_looked_for_the_detector_does_not_count(tmp_path: Path) -> None:
    run = Run(str(tmp_path / "run"))
    for detector in ("auto", "haar", "/no/such.onnx"):
        used = {"preprocess": made_from(asking(detector, "aligned"), None)}
        with run.stage("preprocess", "clips", used, []):
            pass
        refuse_other_clips(run, asking(detector, "aligned"))
    with pytest.raises(RunError, match=r'preprocess\.faces was "aligned", now "detect"\. Leave'):
        refuse_other_clips(run, asking("haar"))


def test_a_copy_without_its_models_does_not_go_on_with_another(
    tmp_path: Path, models: Path
) -> None:
    run = Run(str(tmp_path / "run"))
    settings = asking("auto")
    choice = choose(settings, run)
    with run.stage("preprocess", "clips", {"preprocess": made_from(settings, choice)}, []):
        keep(run, "preprocess", choice)
    shutil.rmtree(tmp_path / "run/models")
    (models / NAME).write_bytes(OTHER)
    refuse_other_clips(run, asking("auto"))
    assert choose(asking("auto"), run).sha256 == sha256_of(MODEL)
    with pytest.raises(RunError, match=r"missing, or not the model.*put it there again"):
        kept(run, "auto")


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_a_damaged_copy_or_record_is_named(content: bytes, tmp_path: Path) -> None:
    run = Run(str(tmp_path / "run"))
    uri = kept(run, "auto")
    Path(str(uri)).write_bytes(content)
    with pytest.raises(RunError, match=r"yunet-.*\.onnx: missing, or not the model"):
        kept(run, "auto")
    record = tmp_path / "run/models/detector.json"
    assert json.loads(record.read_text())["sha256"] == sha256_of(MODEL)
    record.write_bytes(content)
    with pytest.raises(RunError, match=r"detector\.json: not the record of a detector"):
        kept(run, "auto")


def made_by(uri: Path, detector: str) -> Run:
    """A run with clips whose faces the detector found."""
    settings = asking(detector)
    run = Run(str(uri), settings=settings)
    choice = choose(settings, run)
    with run.stage("preprocess", "clips", {"preprocess": made_from(settings, choice)}, []):
        keep(run, "preprocess", choice)
    return run


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_a_file_counts_by_its_content_wherever_it_is(where: str, tmp_path: Path) -> None:
    root = str(tmp_path) if where == "disk" else "memory://detectors"
    first, other, same = (f"{root}/{name}.onnx" for name in ("first", "other", "same"))
    for uri, content in ((first, MODEL), (other, OTHER), (same, MODEL)):
        storage.write_bytes(uri, content)
    run = made_by(tmp_path / "run", first)
    before = recorded(run)
    refuse_other_clips(run, asking(same))
    assert choose(asking(same), run) == before
    with pytest.raises(RunError, match=r'detector was "yunet .*", now ".*/other\.onnx"'):
        refuse_other_clips(run, asking(other), other_films=True)
    storage.remove(other)  # nobody knows what it was, and it is not what the run was given
    with pytest.raises(RunError, match=r'detector was "yunet .*", now ".*/other\.onnx"'):
        refuse_other_clips(run, asking(other), other_films=True)
    with pytest.raises(RunError, match=r'detector was "yunet .*", now "none://m"'):
        refuse_other_clips(run, asking("none://m"))
    storage.remove(first)
    refuse_other_clips(run, asking(first))
    assert choose(asking(first), run) == before
    storage.write_bytes(first, OTHER)
    with pytest.raises(RunError, match=r'detector was "yunet .*", now ".*/first\.onnx"'):
        refuse_other_clips(run, asking(first))


def test_a_copy_without_its_models_knows_by_which_file_it_was_made(tmp_path: Path) -> None:
    file = tmp_path / "own.onnx"
    file.write_bytes(OTHER)
    run = made_by(tmp_path / "run", str(file))
    shutil.rmtree(tmp_path / "run/models")
    file.unlink()
    refuse_other_clips(run, asking(str(file)))
    with pytest.raises(RunError, match="put it there again"):
        kept(run, str(file))
