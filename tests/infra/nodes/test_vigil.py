"""A head that is silent is waited for, once aloud, and then the process ends. No Ray is started."""

import os
import threading

import pytest

from infra.errors import FaultError
from infra.nodes import vigil


class Ended(Exception):
    pass


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(vigil, "PAUSE", 0)
    monkeypatch.setattr(vigil, "SPOKEN", -1)


def watch(monkeypatch: pytest.MonkeyPatch, patience: float, *there: bool) -> None:
    """Look after a head that is there or not at each look; with the last the cluster is left."""
    looks, left = list(there), threading.Event()

    def answers(host: str, port: int) -> bool:
        assert (host, port) == ("::1", 6379)
        if len(looks) == 1:
            left.set()
        return looks.pop(0)

    monkeypatch.setattr(vigil, "answers", answers)
    vigil._watch("[::1]:6379", patience, left)


def test_one_that_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each time that it is silent, however often it is looked at."""
    watch(monkeypatch, 1000, True, False, False, False, True, False, True)
    line = "[cluster] its head, [::1]:6379, does not answer; waiting for it"
    assert capsys.readouterr().out.splitlines() == [line] * 2


def test_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Ended, match=str(FaultError.status)):
        watch(monkeypatch, 0, True, False, False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the head of the cluster, [::1]:6379, has not answered for 0 s; ")
