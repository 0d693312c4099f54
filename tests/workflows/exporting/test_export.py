"""`export.py`: which weights it takes, what its folder holds, and how it ends."""

import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from torch import nn

from infra import storage
from infra.errors import FaultError, InputError, RunError, SettingsError
from infra.runs import Run
from infra.settings.of_weights import seen
from infra.settings.settings import Settings
from infra.text import sha256_of
from model.network import Network, build
from model.weights import load_network, save_weights
from tests.workflows.exporting.test_programs import LACKS, drawn, same
from workflows.exporting import command, programs
from workflows.exporting.command import export, main
from workflows.exporting.trained import Trained, find, load

FILES = ["README.md", "model.json", "network.onnx", "network.pt2", "weights.safetensors"]


def run_with(folder: Path, *variants: str, **preprocess: object) -> Run:
    """A run that has trained these variants, each of its own random numbers."""
    run = Run(str(folder))
    for variant in variants:
        with run.stage("train", f"train/{variant}", {}, []):
            save_weights(build(variant, 4, 32, 0.25), run.path("train", variant, command.WEIGHTS))
    parts = [f"train/{variant}" for variant in variants]
    with run.stage("train", "train", {"variants": list(variants)}, parts):
        pass
    settings = {"preprocess": {"faces": "detect", "context": 1.5, **preprocess}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No programs are made, but files that stand for them: the tests are of what is around it."""

    def make(network: Network, folder: Path) -> dict[str, float]:
        for name in (programs.TORCH, programs.ONNX):
            (folder / name).write_text(network.variant)
        return {programs.TORCH: 0.0, programs.ONNX: 1e-6}

    monkeypatch.setitem(sys.modules, "onnxscript", ModuleType("onnxscript"))
    monkeypatch.setattr(command, "make", make)


def test_the_variant_that_is_taken_of_a_run(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", "f5", "f1", "f5warp", "f3warp")
    place = {v: run.path("train", v, command.WEIGHTS) for v in ("f5", "f5warp", "f3warp")}
    assert find(run.uri).uri == place["f5warp"]  # as enhance.variant is by default
    settings = Path(run.path("settings.yaml"))
    settings.write_text(yaml.safe_dump({"enhance": {"variant": "f5"}}))
    assert find(run.uri).uri == place["f5"]
    settings.write_text(yaml.safe_dump({"enhance": {"variant": "f25warp"}}))
    assert find(run.uri).uri == place["f5warp"]  # the widest trained
    found = find(run.uri, "f3warp")
    assert found.uri == place["f3warp"]
    assert found.content == Path(place["f3warp"]).read_bytes()
    with pytest.raises(RunError, match=r"train/f25warp: this stage has not been completed"):
        find(run.uri, "f25warp")


def test_a_file_is_told_by_the_run_that_it_lies_in(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", "f1")
    file = Path(run.path("train", "f1", command.WEIGHTS))
    inside = find(str(file))
    assert inside.settings is not None and inside.settings.preprocess.context == 1.5
    alone = tmp_path / "mine.safetensors"
    alone.write_bytes(file.read_bytes())
    assert find(str(alone)) == Trained(str(alone), file.read_bytes(), None)
    with pytest.raises(SettingsError, match="--variant f1: of a run folder"):
        find(str(file), "f1")
    with pytest.raises(SettingsError, match=r"none\.safetensors: not there"):
        find(str(tmp_path / "none.safetensors"))


def test_what_is_no_network_is_refused_by_the_name_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"^s3://b/w\.safetensors: not a safetensors file"):
        load(path, "s3://b/w.safetensors")
    save_weights(nn.Linear(2, 2), path)
    with pytest.raises(InputError, match=r"^s3://b/w\.safetensors: no variant, scale, size in its"):
        load(path, "s3://b/w.safetensors")
    save_weights(build("bicubic", 4, 32), path)
    with pytest.raises(InputError, match=r"^s3://b/w\.safetensors: bicubic is an enlargement"):
        load(path, "s3://b/w.safetensors")


@pytest.mark.integration
def test_the_folder_in_another_storage(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason=LACKS)
    network, weights, out = drawn("f1"), tmp_path / "w.safetensors", f"memory://{uuid.uuid4().hex}"
    save_weights(network, weights, {"note": "mine"})
    export(find(str(weights)), out)
    assert [uri.rsplit("/", 1)[-1] for uri in storage.files(out)] == FILES
    assert storage.read_bytes(f"{out}/weights.safetensors") == weights.read_bytes()
    for name in FILES:
        (tmp_path / name).write_bytes(storage.read_bytes(f"{out}/{name}"))
    same(network, programs.run_onnx(tmp_path / "network.onnx"), 1e-4)
    same(network, programs.run_torch(tmp_path / "network.pt2"), 1e-6)
    same(network, load_network(tmp_path / "weights.safetensors"), 0)


@pytest.mark.usefixtures("quick")
def test_what_is_told_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = run_with(tmp_path / "run", "f1"), tmp_path / "out"
    assert main(["--weights", run.uri, "--out", str(out)]) == 0
    told: dict[str, Any] = storage.read_json(str(out / "model.json"))
    assert told["input"]["shape"] == ["batch", 1, 3, 8, 8]
    assert told["output"]["shape"] == ["batch", 3, 32, 32]
    assert (told["scale"], told["window"]["restored"], told["crop"]["context"]) == (4, 0, 1.5)
    assert told["weights_sha256"] == sha256_of((out / "weights.safetensors").read_bytes())
    assert sorted(told["files"]) == ["network.onnx", "network.pt2", "weights.safetensors"]
    for name, file in told["files"].items():
        content = (out / name).read_bytes()
        assert (file["sha256"], file["bytes"]) == (sha256_of(content), len(content))
    page = (out / "README.md").read_text()
    assert "`context` times the detector's box" in page and "`context` is 1.5 (the run)" in page
    assert "batch×1×3×8×8" in page and told["weights_sha256"] in page
    assert f"{out}/network.onnx: 0.0 MB" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_crops_of_aligned_footage_and_of_no_run(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", "f1", faces="aligned", centre=0.5)
    export(find(run.uri), str(tmp_path / "out"))
    told = storage.read_json(str(tmp_path / "out" / "model.json"))["crop"]
    assert told["centre"] == 0.5 and "context" not in told
    assert "`centre` is 0.5" in (tmp_path / "out" / "README.md").read_text()
    (tmp_path / "run" / "settings.yaml").unlink()
    export(find(run.path("train", "f1", command.WEIGHTS)), str(tmp_path / "out"))
    told = storage.read_json(str(tmp_path / "out" / "model.json"))["crop"]
    assert told["context"] == 1.3 and told["known_from"].startswith("defaults")


@pytest.mark.usefixtures("quick")
def test_weights_that_lie_in_no_run_tell_their_crops(tmp_path: Path) -> None:
    settings = Settings()
    settings.clip.blur_sigma = 0.9
    settings.preprocess.faces, settings.preprocess.context = "detect", 1.7
    file, header = tmp_path / "f1.safetensors", seen(settings.clip, settings.preprocess)
    save_weights(build("f1", 4, 32, 0.25), str(file), metadata=header)
    export(find(str(file)), str(tmp_path / "out"))
    told = storage.read_json(str(tmp_path / "out" / "model.json"))["crop"]
    assert told["context"] == 1.7 and told["known_from"] == "the weights' header"
    assert told["trained_on"]["blur_sigma"] == 0.9


@pytest.mark.usefixtures("quick")
def test_what_fails_leaves_the_export_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = run_with(tmp_path / "run", "f1"), tmp_path / "out"
    export(find(run.uri), str(out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def refused(*_: object) -> None:
        raise InputError("network.onnx: 1.0e+00 from the network")

    with monkeypatch.context() as patch, pytest.raises(InputError):
        patch.setattr(command, "make", refused)
        export(find(run.uri), str(out))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    def away(*_: object) -> None:
        raise FaultError("the storage stays away")

    monkeypatch.setattr(storage, "upload", away)
    with pytest.raises(FaultError):
        export(find(run.uri), str(out))
    assert not (out / "model.json").exists()  # so it does not count as whole


@pytest.mark.usefixtures("quick")
def test_a_folder_of_a_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = run_with(tmp_path / "run", "f1")
    folder = run.path("train", "f1")
    before = sorted(Path(folder).iterdir())
    assert main(["--weights", run.uri, "--out", folder]) == 2
    assert "holds the weights of a training" in capsys.readouterr().err
    assert sorted(Path(folder).iterdir()) == before


@pytest.mark.usefixtures("quick")
def test_an_export_that_was_cut_off_is_made_by_the_same_command_again(tmp_path: Path) -> None:
    """Behind the weights, before the card; weights that are others were not of it."""
    run, out = run_with(tmp_path / "run", "f1"), tmp_path / "out"
    export(find(run.uri), str(out))
    (out / "model.json").unlink()
    export(find(run.uri), str(out))
    assert (out / "model.json").exists()
    (out / "model.json").unlink()
    (out / "weights.safetensors").write_bytes(b"of somebody")
    with pytest.raises(SettingsError, match="holds the weights"):
        export(find(run.uri), str(out))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x"], "required: --weights"),
        (["--weights", "x", "--out", "y", "--scale", "3"], "unrecognized arguments: --scale 3"),
        (["--weights", "runs/of/nobody", "--out", "x"], "--weights runs/of/nobody: not there"),
    ],
)
def test_a_wrong_call_is_said_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line


def test_a_lacking_package_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with(tmp_path / "run", "f1")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["--weights", run.uri, "--out", str(tmp_path / "out")]) == 2
    found = capsys.readouterr()
    assert "no package 'onnxscript'" in found.err and "network.pt2" not in found.out
    assert not (tmp_path / "out").exists()
