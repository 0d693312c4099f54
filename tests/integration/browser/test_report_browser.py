"""The report in a real browser, from disk: it sorts, enlarges, fits a telephone, loads nothing."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.integration.browser.chromium import needed, new_page
from tests.integration.conftest import Ended

pytestmark = [pytest.mark.integration, needed]


def column(page: Page, number: int) -> list[str]:
    """The texts of a column of the first table, from top to bottom."""
    cells = page.locator(f"table.sortable >> nth=0 >> tbody tr td:nth-child({number})")
    return cells.all_inner_texts()


def test_report_from_disk(tiny: tuple[Path, Ended]) -> None:
    address = (tiny[0] / "report/index.html").as_uri()
    asked: list[str] = []
    said: list[str] = []
    with new_page(viewport={"width": 400, "height": 800}, color_scheme="dark") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400

        before = column(page, 2)
        title = page.locator("table.sortable >> nth=0 >> th button >> nth=1")
        assert title.inner_text() == "PSNR [dB]"
        title.click()
        falling = column(page, 2)
        numbers = [float(text) for text in falling if text != "–"]
        assert numbers == sorted(numbers, reverse=True) and falling[-1] == "–"
        title.click()
        assert column(page, 2)[:-1] == falling[:-1][::-1] and column(page, 2)[-1] == "–"
        assert sorted(before) == sorted(falling)

        picture = page.locator("img.sheet").first
        picture.click()
        large = page.locator("dialog[open] img")
        assert large.get_attribute("src") == picture.get_attribute("src")
        assert large.evaluate("image => image.naturalWidth === image.width")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        picture.focus()
        page.keyboard.press("Enter")
        large.click()
        assert page.locator("dialog[open]").count() == 0

        shown = "getComputedStyle(document.body).color"
        dark = page.evaluate(shown)
        page.emulate_media(color_scheme="light")
        assert page.evaluate(shown) != dark
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [address]
