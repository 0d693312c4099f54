"""Completion records: done, skipped, refused by field, cut off, forced."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import progress, provenance, storage
from infra.errors import RunError, TrainingError
from infra.progress import say
from infra.runs import Run


def work(
    run: Run,
    settings: dict[str, Any],
    inputs: list[str] | None = None,
    name: str = "train",
    folder: str = "train",
) -> bool:
    """Run a stage that writes one file; returns whether it worked (False: skipped)."""
    with run.stage(name, folder, settings, inputs or []) as stage:
        if stage is None:
            return False
        storage.write_bytes(stage.path("result.txt"), b"x")
        stage.counts["clips"] = 3
    return True  # fmt: skip


def test_done_then_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(str(tmp_path))
    assert work(run, {"steps": 5})
    assert not work(run, {"steps": 5})
    assert "[train] complete since" in capsys.readouterr().out
    record = run.record("train")
    assert (record.settings, record.counts) == ({"steps": 5}, {"clips": 3})
    assert record.versions["facestack"]
    assert not (tmp_path / "train/started.json").exists()


def test_changed_settings_are_refused_by_name_with_the_remedy(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    work(run, {"train": {"steps": 5, "rate": 1.0}})
    with pytest.raises(RunError) as refused:
        work(run, {"train": {"steps": 6, "rate": 1.0}})
    text = str(refused.value)
    assert "train.steps was 5, now 6" in text
    assert "rate" not in text
    assert "--force train" in text
    assert "--run" in text


def test_what_killed_writers_left_behind_is_gone_when_the_stage_is_done(tmp_path: Path) -> None:
    left = tmp_path / "train/films" / f".{'0' * 32}.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a film")
    (left.parent / ".own.tmp").write_bytes(b"not one of ours")
    work(Run(str(tmp_path)), {})
    assert [path.name for path in left.parent.iterdir()] == [".own.tmp"]


def test_a_stage_that_failed_is_not_complete_and_guards_its_settings(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    with pytest.raises(ZeroDivisionError), run.stage("train", "train", {"steps": 5}, []):
        raise ZeroDivisionError
    assert not run.is_complete("train")
    with pytest.raises(RunError, match=r"steps was 5, now 6"):
        work(run, {"steps": 6})
    assert work(run, {"steps": 5})


def test_force_redoes_and_removes_what_was_there(tmp_path: Path) -> None:
    work(Run(str(tmp_path)), {"steps": 5})
    (tmp_path / "train/old.txt").write_text("old")
    assert work(Run(str(tmp_path), frozenset({"train"})), {"steps": 6})
    assert not (tmp_path / "train/old.txt").exists()


def test_a_stage_whose_input_was_redone_is_refused(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    work(run, {}, name="preprocess", folder="clips")
    work(run, {}, ["clips"])
    work(Run(str(tmp_path), frozenset({"preprocess"})), {"seed": 1}, [], "preprocess", "clips")
    with pytest.raises(RunError, match=r"clips was redone after this stage.*--force train"):
        work(run, {}, ["clips"])


def test_a_stage_cut_off_does_not_go_on_from_an_input_that_was_redone(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    work(run, {}, name="preprocess", folder="clips")
    with pytest.raises(KeyboardInterrupt), run.stage("train", "train", {}, ["clips"]) as stage:
        assert stage is not None
        fingerprint = stage.fingerprint
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), run.stage("train", "train", {}, ["clips"]) as stage:
        assert stage is not None and stage.fingerprint == fingerprint
        raise KeyboardInterrupt
    work(Run(str(tmp_path), frozenset({"preprocess"})), {"seed": 1}, [], "preprocess", "clips")
    with pytest.raises(RunError, match=r"clips was redone since this stage began.*--force train"):
        work(run, {}, ["clips"])


def test_a_missing_input_names_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has not been completed.*full\.py"):
        work(Run(str(tmp_path)), {}, ["clips"])


def test_a_stage_of_parts(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    work(run, {}, folder="train/f1")
    run.summarise("train", "train", {"variants": ["f1"]}, ["train/f1"], {"variants": 1})
    first = run.record("train")
    assert first.inputs == {"train/f1": run.record("train/f1").digest}
    run.summarise("train", "train", {"variants": ["f1"]}, ["train/f1"], {"variants": 1})
    assert run.record("train").digest == first.digest
    work(run, {}, folder="train/f5")
    run.summarise("train", "train", {"variants": ["f1", "f5"]}, ["train/f1", "train/f5"], {})
    assert run.record("train").digest != first.digest


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_code_and_of_no_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "outer" / "code"
    (root / "infra").mkdir(parents=True)
    (root / "infra" / "runs.py").write_text("")
    monkeypatch.setattr(provenance, "ROOT", root)

    def git(folder: Path, *words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert provenance.commit() is None
    git(tmp_path / "outer", "init")
    git(tmp_path / "outer", "commit", "--allow-empty", "-m", "of something else")
    assert provenance.commit() is None
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "the code")
    assert provenance.commit() == git(root, "rev-parse", "HEAD")
    (root / "infra" / "runs.py").write_text("changed")
    assert provenance.commit() == git(root, "rev-parse", "HEAD") + "-dirty"


def test_a_line_of_progress_stays_one_line_whatever_a_file_is_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("preprocess", "a\nb\x1b[31m \udcff é 🙂.mp4")
    assert capsys.readouterr().out == "[preprocess] a\\nb\\x1b[31m \\udcff é 🙂.mp4\n"


def test_progress_is_counted_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 4.0, 11.0, 15.0, 22.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    count = progress.Count("evaluate", 9, "clips")
    for number in (1, 3, 5, 8):
        count.done(number)
    assert capsys.readouterr().out.splitlines() == [
        "[evaluate] 3 of 9 clips  left 00:22", "[evaluate] 8 of 9 clips  left 00:02",
    ]  # fmt: skip


def cut_off(run: Run, settings: dict[str, Any], folder: str = "train") -> None:
    with pytest.raises(KeyboardInterrupt), run.stage("train", folder, settings, []) as stage:
        assert stage is not None
        storage.write_bytes(stage.path("checkpoint"), b"half")
        raise KeyboardInterrupt


def test_force_given_again_after_a_kill_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first stage was redone, the second was cut off: neither is emptied again."""
    force = frozenset({"preprocess", "train"})
    work(Run(str(tmp_path)), {"seed": 0}, name="preprocess", folder="clips")
    work(Run(str(tmp_path)), {"steps": 5}, folder="train/f1")
    assert work(Run(str(tmp_path), force), {"seed": 1}, None, "preprocess", "clips")
    cut_off(Run(str(tmp_path), force), {"steps": 6}, "train/f1")
    redone = Run(str(tmp_path)).record("clips").digest

    again = Run(str(tmp_path), force)
    assert not work(again, {"seed": 1}, None, "preprocess", "clips")
    assert again.record("clips").digest == redone
    assert "--force has emptied it" in capsys.readouterr().out
    with again.stage("train", "train/f1", {"steps": 6}, []) as stage:
        assert stage is not None
        assert (tmp_path / "train/f1/checkpoint").exists()
    again.ended(["clips", "train"])
    assert not (tmp_path / "forced.json").exists()
    assert work(Run(str(tmp_path), force), {"steps": 6}, folder="train/f1"), "redone when it ended"
    assert not (tmp_path / "train/f1/checkpoint").exists()


def test_force_with_other_settings_after_a_kill_begins_anew(tmp_path: Path) -> None:
    force = frozenset({"train"})
    cut_off(Run(str(tmp_path), force), {"steps": 6})
    assert work(Run(str(tmp_path), force), {"steps": 7})
    assert not (tmp_path / "train/checkpoint").exists()


def test_a_complete_stage_is_opened_again_where_what_it_read_has_changed(tmp_path: Path) -> None:
    """As it is, with the same fingerprint; and cut off then, it goes on."""
    run, fingerprints = Run(str(tmp_path)), []

    def opened(said: str) -> bool:
        def changed(fingerprint: str) -> str:
            fingerprints.append(fingerprint)
            return said

        with run.stage("enhance", "enhanced", {"a": 1}, [], changed) as stage:
            if stage is not None:
                fingerprints.append(stage.fingerprint)
                storage.write_bytes(stage.path("film"), b"x")
            return stage is not None

    assert opened("")
    assert not opened("")
    assert opened("1 film added")
    assert (tmp_path / "enhanced/film").exists()
    added = {"changed": lambda _: "1 film added"}
    with (
        pytest.raises(ZeroDivisionError),
        run.stage("enhance", "enhanced", {"a": 1}, [], **added) as stage,
    ):
        assert stage is not None
        raise ZeroDivisionError
    assert not run.is_complete("enhanced")
    assert opened("")
    assert len(set(fingerprints)) == 1
    with (
        pytest.raises(RunError, match=r"a was 1, now 2"),
        run.stage("enhance", "enhanced", {"a": 2}, [], **added),
    ):
        pass


def test_a_stage_that_was_refused_after_force_is_emptied_again(tmp_path: Path) -> None:
    """The remedy of what refuses it is --force; those that were redone before it stay."""
    run = Run(str(tmp_path), frozenset({"preprocess", "train"}))
    work(run, {"seed": 1}, None, "preprocess", "clips")
    with pytest.raises(TrainingError), run.stage("train", "train/f1", {}, []) as stage:
        assert stage is not None
        storage.write_bytes(stage.path("checkpoint"), b"damaged")
        raise TrainingError("a damaged checkpoint; begin anew with --force train")
    assert not work(run, {"seed": 1}, None, "preprocess", "clips")
    with run.stage("train", "train/f1", {}, []) as stage:
        assert stage is not None
        assert not (tmp_path / "train/f1/checkpoint").exists()


@pytest.mark.parametrize("name", ["stage.json", "started.json"])
@pytest.mark.parametrize("content", ["[", "{}", "[]", '{"settings": 5}'])
def test_a_damaged_record_is_named_in_one_line(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name).write_text(content)
    with pytest.raises(RunError, match=rf"train/{name}: not .* --force") as refused:
        work(Run(str(tmp_path)), {})
    assert "\n" not in str(refused.value)
