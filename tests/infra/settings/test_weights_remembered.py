"""What weights say of settings: below what a command says, and beside what a run remembers."""

import json
import struct
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.settings import of_run
from infra.settings.command_line import load
from infra.settings.settings import Settings

HEADER = {"variant": "f1", "scale": "8", "size": "128"}


def header(path: Path, content: object) -> str:
    """A safetensors file of a header alone."""
    text = json.dumps(content).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return str(path)


def weights(path: Path, **texts: str) -> str:
    return header(path, {"__metadata__": HEADER | texts})


def enhance(run: Path, *arguments: str) -> Settings:
    """A command on a run that begins the stage."""
    chosen = load(["--run", str(run), *arguments], "enhance.py", "")
    of_run.remember(str(run), chosen, "enhance")
    return chosen


def test_weights_lie_above_the_defaults_and_below_the_command(tmp_path: Path) -> None:
    given = weights(tmp_path / "w.safetensors", seen='{"preprocess": {"context": 1.5}}')
    found = enhance(tmp_path / "a", "--weights", given)
    assert (found.clip.size, found.clip.scale, found.clip.blur_sigma) == (128, 8, 2.4)
    assert (found.enhance.variant, found.preprocess.context) == ("f1", 1.5)
    found = enhance(tmp_path / "b", "--weights", given, "--preprocess.context", "1.2")
    assert found.preprocess.context == 1.2


@pytest.mark.parametrize(
    "more",
    [
        (), ("--enhance.variant", "f1"), ("--enhance.faces", "aligned"),
        ("--clip.blur-sigma", "1"), ("--preprocess.context", "1.2"),
    ],
    ids=str,
)  # fmt: skip
def test_the_next_command_on_a_run_is_as_the_first(more: tuple[str, ...], tmp_path: Path) -> None:
    """Given in full at first, and by its run alone then."""
    for variant in ("f1", "f5warp"):
        weights(tmp_path / f"trained/train/{variant}/weights.safetensors", variant=variant)
    first = enhance(tmp_path / "out", "--weights", str(tmp_path / "trained"), *more)
    assert enhance(tmp_path / "out").model_dump() == first.model_dump()


def test_other_weights_bring_their_own_settings(tmp_path: Path) -> None:
    first = weights(tmp_path / "1.safetensors")
    other = weights(tmp_path / "2.safetensors", variant="f5", scale="4", size="64")
    enhance(tmp_path / "out", "--weights", first, "--enhance.faces", "aligned")
    found = enhance(tmp_path / "out", "--weights", other)
    assert (found.enhance.variant, found.clip.size, found.enhance.faces) == ("f5", 64, "detect")


@pytest.mark.parametrize(
    "content",
    [
        [], {}, {"__metadata__": None}, {"__metadata__": {"variant": "f1"}},
        {"__metadata__": HEADER | {"scale": "x"}}, {"__metadata__": HEADER | {"seen": "{"}},
        {"__metadata__": HEADER | {"seen": "[]"}},
        {"__metadata__": HEADER | {"seen": '{"clip": 1}'}},
    ],
)  # fmt: skip
def test_a_header_that_is_none_of_ours_is_refused_in_a_line(
    content: object, tmp_path: Path
) -> None:
    given = header(tmp_path / "w.safetensors", content)
    with pytest.raises(SettingsError, match=r"enhance.weights .*expected the weights.safetensors"):
        enhance(tmp_path / "out", "--weights", given)
