"""Weights tell enhance what they restore, as a file or as the run that they were trained in."""

import json
from pathlib import Path

import pytest
import yaml

from infra.errors import SettingsError
from infra.settings import of_run
from infra.settings.command_line import load
from infra.settings.of_weights import header_of, seen, settings_of
from infra.settings.settings import Settings

HEADER = {"variant": "f3", "scale": "4", "size": "128", "width": "0.5"}


def weights(path: Path, header: dict[str, str]) -> Path:
    """A safetensors file without tensors: eight bytes that tell the length of the header, and it.
    (https://huggingface.co/docs/safetensors, "Format")"""
    text = json.dumps({"__metadata__": header}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def chosen(tmp_path: Path, *arguments: object, program: str = "enhance.py") -> Settings:
    return load(["--run", f"{tmp_path}/out", *map(str, arguments)], program, "")


def test_a_file_tells_its_sizes_and_films_are_looked_through(tmp_path: Path) -> None:
    found = chosen(tmp_path, "--weights", weights(tmp_path / "w.safetensors", HEADER))
    assert (found.clip.size, found.clip.scale, found.clip.blur_sigma) == (128, 4, 1.2)
    assert (found.enhance.variant, found.enhance.faces) == ("f3", "detect")
    assert found.preprocess == Settings().preprocess and found.enhance.limit is None


def test_what_a_network_was_trained_with_is_in_its_header(tmp_path: Path) -> None:
    trained = Settings.model_validate({
        "clip": {"size": 128, "scale": 4, "blur_sigma": 0.7, "frame_step": 2,
                 "degradation": "realistic"},
        "preprocess": {"faces": "detect", "context": 1.6, "grid": "frame", "min_face": 99},
    })  # fmt: skip
    header = HEADER | {"frame_step": "2"} | seen(trained.clip, trained.preprocess)
    found = chosen(tmp_path, "--weights", weights(tmp_path / "w.safetensors", header))
    assert found.clip == trained.clip
    assert (found.preprocess.context, found.preprocess.grid) == (1.6, "frame")
    assert found.preprocess.min_face == Settings().preprocess.min_face


def test_crops_that_were_given_tell_nothing_of_detected_ones() -> None:
    trained = Settings.model_validate({"preprocess": {"faces": "aligned", "context": 1.6}})
    assert "context" not in json.loads(seen(trained.clip, trained.preprocess)["seen"])["preprocess"]


def test_a_run_tells_what_it_has_trained_and_how(tmp_path: Path) -> None:
    """Its source, and how many films it restored, do not matter."""
    run = tmp_path / "trained"
    weights(run / "train/f3/weights.safetensors", HEADER)
    weights(run / "train/f1/weights.safetensors", HEADER | {"variant": "f1", "scale": "8"})
    told = {"source": "/films", "preprocess": {"context": 1.6, "detector": "/d.onnx"},
            "clip": {"degradation": "realistic", "blur_sigma": None, "num_frames": 5},
            "enhance": {"variant": "f3", "limit": 2}}  # fmt: skip
    (run / "settings.yaml").write_text(yaml.safe_dump(told))
    found = chosen(tmp_path, "--weights", run)
    assert (found.source, found.enhance.limit, found.enhance.variant) == (None, None, "f3")
    assert (found.clip.scale, found.clip.degradation, found.clip.blur_sigma) == (
        4, "realistic", None
    )  # fmt: skip
    assert (found.preprocess.context, found.preprocess.detector) == (1.6, "/d.onnx")
    other = chosen(tmp_path, "--weights", run, "--enhance.variant", "f1")
    assert (other.enhance.variant, other.clip.scale) == ("f1", 8)


def test_the_command_line_stands_above_and_the_next_command_knows_the_weights(
    tmp_path: Path,
) -> None:
    path = weights(tmp_path / "w.safetensors", HEADER)
    found = chosen(
        tmp_path, "--weights", path, "--source", "films", "--enhance.faces", "aligned",
        "--preprocess.context", "2",
    )  # fmt: skip
    assert (found.enhance.faces, found.preprocess.context) == ("aligned", 2)
    assert (found.enhance.source, found.source) == ("films", None)
    of_run.remember(f"{tmp_path}/out", found, "enhance")
    again = chosen(tmp_path)
    assert (again.clip.scale, again.enhance.variant) == (4, "f3")
    path.unlink()  # what is complete needs none; else the stage says what is missing
    assert chosen(tmp_path).enhance.weights == str(path)


def test_other_commands_have_settings_of_their_own(tmp_path: Path) -> None:
    path = weights(tmp_path / "w.safetensors", HEADER)
    found = chosen(tmp_path, "--enhance.weights", path, "--source", "films", program="full.py")
    assert (found.clip, found.source) == (Settings().clip, "films")


@pytest.mark.parametrize(
    "content",
    [b"", b"text that is no weights", (1 << 40).to_bytes(8, "little"),
     (2).to_bytes(8, "little") + b"{}", (1).to_bytes(8, "little") + b"{"],
)  # fmt: skip
def test_what_is_no_file_of_weights_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"enhance.weights {path}: expected the ") as error:
        settings_of(str(path), None)
    assert "\n" not in str(error.value)


def test_the_header_is_that_which_its_library_reads(tmp_path: Path) -> None:
    from model.network import build
    from model.weights import save_weights

    save_weights(build("f1", scale=4, size=32, width=0.125), tmp_path / "w.safetensors")
    found = header_of(str(tmp_path / "w.safetensors"))
    assert (found["variant"], found["scale"], found["size"]) == ("f1", "4", "32")
