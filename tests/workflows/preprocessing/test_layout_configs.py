"""The configurations of the paper's two collections read them as they are distributed."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets.clips.windows import Account
from datasets.shards.files import read_rows
from datasets.sources.layouts import Source
from infra.runs import Stage
from infra.settings import command_line
from infra.settings.settings import Settings
from tests.support.media import moving_square, write_images
from tests.support.root import ROOT
from workflows.preprocessing import stage as preprocess
from workflows.preprocessing.parts import clips_by, extraction, make_part, outcomes_in
from workflows.shared.ray_rows import Row
from workflows.shared.source_rows import bundles, item
from workflows.shared.source_survey import find, forget_listings


def settings_of(config: str, source: Path) -> tuple[Settings, list[Source]]:
    """A configuration, and the sources that it finds."""
    file = ROOT / "workflows/configs" / config
    settings = command_line.load(["--config", str(file), "--source", str(source)], "x", "")
    return settings, find(str(source), settings.preprocess.layout).sources


def labelled(root: Path) -> None:
    """frame_images_DB: 30 frames of one person, with the box of the square that moves in them."""
    write_images(
        root / "frame_images_DB/Ann/0", [f"0.{n}.jpg" for n in range(30)], moving_square(30)
    )
    rows = [f"Ann\\0\\0.{n}.jpg,0,{26 + n / 2},36,50,50,0,0\n" for n in range(30)]
    (root / "frame_images_DB/Ann.labeled_faces.txt").write_text("".join(rows))


def aligned(root: Path) -> None:
    names = [f"aligned_detect_0.{n}.jpg" for n in range(30)]
    write_images(root / "aligned_images_DB/Ann/0", names, moving_square(30))


@pytest.mark.parametrize(("lay", "side"), [(labelled, 50 * 1.3), (aligned, 72 * 0.6)])
def test_youtube_faces(tmp_path: Path, lay, side: float) -> None:
    lay(tmp_path)
    settings, (source,) = settings_of("ytf.yaml", tmp_path)
    account = Account()
    (clip,) = clips_by(extraction(settings), source, account)
    assert clip.identity == "Ann"
    assert clip.low.shape == (25, 16, 16, 3) and clip.high.shape == (128, 128, 3)
    assert clip.boxes[12, 2] == pytest.approx(side, abs=0.1)
    assert (account.frames, account.clips) == (30, 1)


def test_lfw_takes_the_next_still_after_a_broken_one(tmp_path: Path) -> None:
    stills = [np.full((250, 250, 3), level, np.uint8) for level in (80, 90, 100)]
    for person in ("Ann", "Bob"):
        write_images(tmp_path / person, [f"{person}_000{n}.jpg" for n in (1, 2, 3)], stills)
    (tmp_path / "Ann/Ann_0002.jpg").write_bytes(b"")
    settings, sources = settings_of("lfw.yaml", tmp_path)
    (bundle,) = bundles(sources)
    outcomes = outcomes_in(make_part(extraction(settings), str(tmp_path / "run"), "", item(bundle)))
    part = outcomes[0].part
    clips = read_rows(f"{tmp_path}/run/{part}")
    assert [outcome.clips for outcome in outcomes] == [1, 0, 1, 1, 1, 1]
    assert [outcome.part for outcome in outcomes[:2]] == [part, ""]
    assert outcomes[1].reason == "Ann/Ann_0002.jpg: the file is empty"
    assert clips["video"].to_pylist()[:2] == ["Ann/Ann_0001.jpg", "Ann/Ann_0003.jpg"]
    boxes = clips["boxes"].combine_chunks().to_numpy_ndarray()
    assert boxes[0, 0] == pytest.approx([50, 50, 150, 150])


DEADLY = """
import os, pickle, signal, sys
from workflows.preprocessing import parts

how, folder, of_stage, row = pickle.loads(sys.stdin.buffer.read())
read = parts.clips_by

def deadly(how, source, account):
    if source.name.endswith("Ann_0002.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(how, source, account)

parts.clips_by = deadly
while not (child := os.fork()) or (status := os.waitpid(child, 0)[1]):
    if not child:  # what Ray does with a task whose worker died
        parts.make_part(how, folder, of_stage, row)
        os._exit(0)
    print(status)
    assert os.WIFSIGNALED(status)
"""


def test_a_still_that_kills_its_process_takes_no_other_along(tmp_path: Path) -> None:
    """The bundle dies once, then three times by that still, which is then given up alone."""
    names = [f"Ann_000{n}.png" for n in (1, 2, 3)]
    write_images(tmp_path / "Ann", names, [np.full((250, 250, 3), 80, np.uint8)] * 3)
    settings, sources = settings_of("lfw.yaml", tmp_path)
    (bundle,) = bundles(sources)
    arguments = (extraction(settings), str(tmp_path / "run"), "", item(bundle))
    run = subprocess.run(
        [sys.executable, "-c", DEADLY], input=pickle.dumps(arguments), cwd=ROOT,
        capture_output=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == [str(int(signal.SIGKILL)).encode()] * 4
    outcomes = outcomes_in(make_part(*arguments))
    assert [outcome.clips for outcome in outcomes] == [1, 0, 1]
    assert "Ann_0002.png: its process died 3 times" in outcomes[1].reason


def test_the_stage_takes_every_outcome_out_of_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Ray Data replaced by a loop: more stills than one part holds."""
    still = np.full((64, 64, 3), 90, np.uint8)
    for number in range(66):
        write_images(tmp_path / f"P{number:02d}", [f"P{number:02d}_0001.png"], [still])
    rows: list[Row] = []

    def loop(items: list[Row], task: Callable[[Row], Row], _: int | None) -> list[Row]:
        rows[:] = map(task, items)
        return rows

    monkeypatch.setattr(preprocess, "each", loop)
    options = {"clip": {"num_frames": 1}, "preprocess": {"workers": 1}}
    settings = Settings.model_validate(options)
    stage = Stage("preprocess", str(tmp_path / "run"), "")
    outcomes = preprocess._extract(settings, stage, find(str(tmp_path)).sources)
    assert len(rows) == 2
    assert [outcome.name for outcome in outcomes] == [
        f"P{number:02d}/P{number:02d}_0001.png" for number in range(66)
    ]
    assert {outcome.clips for outcome in outcomes} == {1}

    # A still more, the first of all: a task of its own, and no other is read again.
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/parts").iterdir()}
    write_images(tmp_path / "A", ["A_0001.png"], [still])
    forget_listings()
    more = preprocess._extract(settings, stage, find(str(tmp_path)).sources)
    assert len(more) == 67 and more[0].name == "A/A_0001.png" and more[1:] == outcomes
    assert len(rows) == 1
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/parts").iterdir()}
    assert len(after) == len(parts) + 2 and {path: after[path] for path in parts} == parts
