"""How far a stage is: one bar on a terminal, lines in a log."""

import sys

import pytest

from infra import progress
from infra.nodes.terminal import CLEAR, leave
from infra.progress import Count, say
from tests.support.terminal import Terminal


def count_to(total: int) -> None:
    count = Count("preprocess", total, "sources")
    for number in range(1, total + 1):
        count.done(number, short=f"loss {number}")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out for having come soon after the last."""
    monkeypatch.setattr(progress, "REDRAWN", -1)
    monkeypatch.setattr(progress, "SPOKEN", -1)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("columns", [50, 100])
def test_a_terminal_has_one_bar_that_is_drawn_anew(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal(columns)
    monkeypatch.setattr(sys, "stdout", screen.stream)
    count_to(3)
    say("preprocess", "done")
    shown = screen.shown()
    assert shown.count("\n") == 2
    bar, after, end = shown.split("\n")
    drawn = bar.split(CLEAR)
    assert len(drawn) == 3
    assert all(text.startswith("preprocess") and len(text) < columns for text in drawn)
    assert "3/3 sources, left 00:00" in drawn[-1]
    assert (after, end) == ("[preprocess] done", "")
    assert columns < 100 or drawn[-1].endswith("loss 3")


@pytest.mark.usefixtures("unhurried")
def test_a_line_takes_the_place_of_a_bar_that_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen.stream)
    count = Count("train", 9, "steps")
    count.done(1)
    say("train", "worker 0 was lost")
    count.done(2)
    leave()
    say("train", "done")
    lines = screen.shown().split("\n")
    assert lines[0].split(CLEAR)[1] == "[train] worker 0 was lost"
    assert lines[1].startswith("train") and "2/9 steps" in lines[1]
    assert lines[2:] == ["[train] done", ""]


@pytest.mark.usefixtures("unhurried")
def test_a_log_has_lines(capsys: pytest.CaptureFixture[str]) -> None:
    count_to(3)
    said = capsys.readouterr().out
    assert "\r" not in said
    assert said.splitlines() == [
        "[preprocess] 1 of 3 sources, loss 1  left 00:00",
        "[preprocess] 2 of 3 sources, loss 2  left 00:00",
        "[preprocess] 3 of 3 sources, loss 3",
    ]


def test_a_log_is_not_filled(capsys: pytest.CaptureFixture[str]) -> None:
    count_to(1000)
    assert capsys.readouterr().out == ""


def test_a_line_of_its_own_is_always_said(capsys: pytest.CaptureFixture[str]) -> None:
    Count("enhance", 2, "films").done(1, line="1 of 2: a\nb.mp4: 3 tracks")
    assert capsys.readouterr().out.startswith("[enhance] 1 of 2: a\\nb.mp4: 3 tracks  left 00:00")
