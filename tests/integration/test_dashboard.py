"""`make dashboard` in a real browser: every stage's charts and pictures, the trials' HParams."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.integration.conftest import ROOT, Ended

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")


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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


def test_all_stages_their_pictures_and_the_trials(address: str, page: Page) -> None:
    page.goto(f"{address}#timeseries")
    for run in ("recogniser/events", "pretrain/events", "train/f1/events", "train/f5warp/events"):
        expect(page.get_by_text(run, exact=True).first).to_be_visible(timeout=60_000)
    for tag in ("pretrain/epe", "train/pixel", "train/validation_psnr", "trial/pool3"):
        expect(page.get_by_text(tag, exact=True).first).to_be_attached(timeout=60_000)
    picture = os.environ.get("FACESTACK_DASHBOARD_PICTURE")
    if picture:
        page.screenshot(path=picture)
