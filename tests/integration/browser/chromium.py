"""Pages in a real browser, which wait as long as a busy machine takes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.waiting import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")
MILLISECONDS = 1000 * PATIENCE
expect.set_options(timeout=MILLISECONDS)


@contextmanager
def new_page(**options: Any) -> Iterator[Page]:
    """A page of a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=MILLISECONDS
        )
        page = browser.new_page(**options)
        page.set_default_timeout(MILLISECONDS)
        yield page
        browser.close()
