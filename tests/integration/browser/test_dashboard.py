"""`make dashboard` in a real browser: every stage's charts and pictures, the trials' HParams."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.integration.browser.chromium import needed, new_page
from tests.integration.conftest import Ended
from tests.support.root import ROOT

pytestmark = needed


@pytest.fixture
def address(tiny: tuple[Path, Ended]) -> Iterator[str]:
    """The address that the command prints."""
    binaries = Path(sys.executable).parent
    process = subprocess.Popen(
        # The environment is taken as it is: a test does not install.
        ["make", "-o", ".venv/.installed", "dashboard", f"RUN={tiny[0]}", f"BIN={binaries}"],
        cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            print(line, end="")
            found = re.search(r"http://(\S+?):\d+/", line)
            if found:
                break
        assert found, "no address was printed"
        assert found[1] == "127.0.0.1", "others than this machine can look in"
        yield found[0]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


@pytest.fixture
def page() -> Iterator[Page]:
    with new_page(viewport={"width": 1400, "height": 900}) as found:
        yield found


def shown(page: Page, text: str) -> None:
    expect(page.get_by_text(text, exact=True).first).to_be_visible()


def test_all_stages_their_pictures_and_the_trials(
    address: str, page: Page, tiny: tuple[Path, Ended]
) -> None:
    trials = [row["trial"] for row in json.loads((tiny[0] / "tune/trials.json").read_text())]
    page.goto(f"{address}#timeseries")
    for folder in ("recogniser", "pretrain", "train/f1", f"tune/trials/{trials[0]}"):
        shown(page, f"{folder}/events")
    shown(page, "pretrain/epe")

    page.goto(f"{address}#images")
    page.reload()
    shown(page, "pretrain/warp")
    for group in ("recogniser", "trial"):  # the later groups come folded
        expect(page.get_by_role("button", name=group).first).to_be_visible()

    page.goto(f"{address}#hparams")
    page.reload()
    for title in ("num_frames", "pool3", "pool4", "trial/validation_verification"):
        shown(page, title)
    for trial in trials:
        shown(page, f"tune/trials/{trial}/events")
    picture = os.environ.get("FACESTACK_DASHBOARD_PICTURE")
    if picture:
        page.screenshot(path=picture)
