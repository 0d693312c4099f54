"""The gallery in a real browser, from disk: it sorts, filters, plays, fits a telephone, loads
nothing from elsewhere, and takes names of films for text."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from datasets.video_writer import write_video
from tests.integration.browser.chromium import needed, new_page
from tests.support.waiting import until
from workflows.enhancement.gallery.pages import write_gallery
from workflows.shared.pictures import jpeg

pytestmark = [pytest.mark.integration, needed]
NASTY = "b/</script><img src=x onerror=said=1>'\"&amp;#1?x=%41 ü\u2028.mp4"
FILMS = ["a/10.mp4", "a/9.mp4", NASTY]
WIDE, NARROW = (1280, "light"), (400, "dark")


def track(video: str, number: int, **changes: Any) -> dict[str, Any]:
    folder = video.replace("\u2028", "_")
    return {
        "video": video, "identity": "P'\"<b>", "input": "native", "variant": "f5warp",
        "track": number, "frames": 50 + number, "start": 4000.0 * number, "seconds": 2.0,
        "side": 14.0, "resized": 1.14, "scale": 8, "sharpness": 120.5, "consistency": 30.0,
        "picture": f"{folder}/{number}.jpg", "plays": f"{folder}/{number}.mp4",
        "film": f"{folder}/{number}.mp4",
    } | changes  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six tracks of three films, with pictures and films but where nothing was written."""
    tracks = [
        track(FILMS[0], 0, side=10.0, consistency=25.0),
        track(FILMS[0], 1, side=20.0, consistency=math.nan),
        track(FILMS[1], 0, side=30.0, consistency=35.0, input="degraded"),
        track(FILMS[1], 1, picture="", plays="", film=""),
        track(FILMS[2], 0, consistency=29.0),
        track(FILMS[2], 1, consistency=31.0),
    ]
    frames = np.random.default_rng(0).integers(0, 256, (25, 32, 64, 3)).astype(np.uint8)
    for row in tracks:
        if row["picture"]:
            write_video(tmp_path / row["plays"], frames, Fraction(25), 30)
            (tmp_path / row["picture"]).write_bytes(jpeg(frames[0]))
    write_gallery(str(tmp_path), tracks, {"source": NASTY})
    return tmp_path


@contextmanager
def opened(folder: Path, look: tuple[int, str] = WIDE, view: str = "") -> Iterator[Page]:
    """The page, which must not complain, nor run what a name says, nor ask for anything that is
    not below the folder."""
    said: list[str] = []
    asked: list[str] = []
    size: Any = {"width": look[0], "height": 800}
    with new_page(viewport=size, color_scheme=look[1]) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{(folder / 'gallery/index.html').as_uri()}{view}")
        yield page
        assert page.evaluate("typeof said") == "undefined"
    assert said == []
    assert [url for url in asked if not url.startswith(folder.as_uri() + "/")] == []


def films(page: Page) -> list[str]:
    """Film and track of the cards, from the first on."""
    names = page.locator("#cards .film").evaluate_all("all => all.map(one => one.title)")
    numbers = page.locator("#cards .folder + p").all_inner_texts()
    return [
        f"{FILMS.index(name)}.{text.split('track ')[1][0]}"
        for name, text in zip(names, numbers, strict=True)
    ]


def becomes(page: Page, what: str) -> None:
    """Waits for it; Playwright's own waiting evaluates text, which the page forbids."""
    until(lambda: page.evaluate(what), what)


def view(page: Page) -> str:
    return str(page.evaluate("location.hash"))


@pytest.mark.parametrize("look", [WIDE, NARROW])
def test_cards_sort_and_filter(folder: Path, look: tuple[int, str]) -> None:
    with opened(folder, look) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= look[0]
        # Films as people count, then time: 9 comes before 10.
        assert films(page) == ["1.0", "1.1", "0.0", "0.1", "2.0", "2.1"]
        expect(page.locator("#count")).to_have_text("1–6 of 6 tracks in 3 films")
        assert "1:06:40 · track 1" in page.locator("#cards").inner_text()
        page.locator("#cards li").last.scroll_into_view_if_needed()
        becomes(
            page, "[...document.querySelectorAll('#cards img')].every(i => i.naturalWidth === 64)"
        )
        expect(page.locator("#cards li:has-text('no picture')")).to_have_count(1)

        page.select_option("[name=sort]", "consistency")
        assert films(page) == ["0.0", "2.0", "1.1", "2.1", "1.0", "0.1"]
        page.click("#order")
        assert films(page) == ["1.0", "2.1", "1.1", "2.0", "0.0", "0.1"]
        assert view(page) == "#sort=consistency&falling=true"

        page.fill("[name=consistency_from]", "30")
        assert films(page) == ["1.0", "2.1", "1.1"]
        page.fill("[name=side_to]", "14")
        assert films(page) == ["2.1", "1.1"]
        page.fill("[name=text]", "<IMG f5")
        assert films(page) == ["2.1"]
        expect(page.locator("#count")).to_have_text("1–1 of 1 track in 1 film (of 6 in 3)")
        page.fill("[name=text]", "nobody")
        expect(page.locator("#count")).to_have_text("None of 6 tracks matches.")
        page.click("[type=reset]")
        assert len(films(page)) == 6 and view(page) == ""

        if look == NARROW:
            page.click("#folders summary")
        page.click("#below >> text=b")
        assert page.locator("#below li").all_inner_texts() == ["<\n2"]
        page.click("#below >> text=<")
        assert films(page) == ["2.0", "2.1"]
        sent = view(page)
        page.go_back()
        page.go_back()
        expect(page.locator("#cards li")).to_have_count(6)
    with opened(folder, look, sent) as page:
        assert films(page) == ["2.0", "2.1"]


@pytest.mark.parametrize("look", [WIDE, NARROW])
def test_tracks_play_by_mouse_and_keys(folder: Path, look: tuple[int, str]) -> None:
    with opened(folder, look) as page:
        dialog, video = page.locator("dialog[open]"), page.locator("dialog video")
        page.click("#cards li:nth-child(5) button")
        expect(page.locator("#title")).to_have_text(NASTY)
        becomes(page, "document.querySelector('video').currentTime > 0.1")
        sent = view(page)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#place")).to_have_text("6 of 6")
        expect(page.locator("#after")).to_be_disabled()
        page.keyboard.press("ArrowRight")
        video.focus()
        for _ in range(4):
            page.keyboard.press("ArrowLeft")
        expect(page.locator("#place")).to_have_text("2 of 6")
        expect(page.locator("#problem")).to_have_text("No film of this track was written.")
        expect(page.locator("#film")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= look[0]
        assert dialog.evaluate("all => all.scrollWidth <= all.clientWidth")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        becomes(page, "location.hash === ''")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
            "play 9.mp4, 1:06:40"
        )
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#title")).to_have_text("a/10.mp4")
        page.click("#close")
        expect(dialog).to_have_count(0)
    with opened(folder, look, sent) as page:
        expect(page.locator("dialog[open] #title")).to_have_text(NASTY)
        page.click("#close")


def test_the_banner_says_what_is_shown(folder: Path) -> None:
    with opened(folder, NARROW) as page:
        expect(page.locator(".note").first).to_contain_text("estimates, no recordings")
        page.click("text=What consistency means")
        expect(page.locator(".note").first).to_contain_text("does not say that the face is the")
        page.click("text=How they were made")
        expect(page.locator("header dd")).to_have_text(NASTY)
        shown = "getComputedStyle(document.body).color"
        dark = page.evaluate(shown)
        page.emulate_media(color_scheme="light")
        assert page.evaluate(shown) != dark


def test_a_view_that_makes_no_sense_is_the_first_one(folder: Path) -> None:
    with opened(
        folder, view="#sort=x%22]&page=-7e99&side_from=a&falling=1&__proto__=2&play=9:x"
    ) as page:
        assert films(page) == ["1.0", "1.1", "0.0", "0.1", "2.0", "2.1"]


def test_an_empty_collection_says_so(tmp_path: Path) -> None:
    write_gallery(str(tmp_path), [], {})
    with opened(tmp_path) as page:
        expect(page.locator("#count")).to_have_text("This collection has no restored track.")
        expect(page.locator("#pages")).to_be_hidden()


def test_ten_thousand_tracks_are_shown_by_pages(tmp_path: Path) -> None:
    names = [f"{film % 250}/{film}.mp4" for film in range(2000)]
    tracks = [track(name, number, picture="", plays="") for name in names for number in range(5)]
    write_gallery(str(tmp_path), tracks, {})
    with opened(tmp_path) as page:
        nodes = "document.querySelectorAll('*').length"
        expect(page.locator("#count")).to_have_text("1–48 of 10,000 tracks in 2,000 films")
        assert page.evaluate(nodes) < 1000
        expect(page.locator("#below li")).to_have_count(101)
        page.click("text=150 more")
        expect(page.locator("#below li")).to_have_count(250)
        page.click("#next")
        expect(page.locator("#count")).to_have_text("49–96 of 10,000 tracks in 2,000 films")
        page.fill("#page", "209")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text("9,985–10,000 of 10,000 tracks in 2,000 films")
        expect(page.locator("#next")).to_be_disabled()
        assert view(page) == "#page=209"
        page.click("#cards li:first-child button")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#place")).to_have_text("9,984 of 10,000")
        page.click("#close")
        becomes(page, "location.hash === '#page=208'")
        page.fill("[name=text]", "1999.mp4")
        expect(page.locator("#count")).to_have_text(
            "1–5 of 5 tracks in 1 film (of 10,000 in 2,000)"
        )
        assert page.evaluate(nodes) < 1000


def test_files_that_are_missing_are_told(folder: Path) -> None:
    (folder / FILMS[0] / "0.jpg").unlink()
    (folder / FILMS[0] / "0.mp4").unlink()
    address = (folder / "gallery/index.html").as_uri()
    with new_page() as page:
        page.goto(address)
        expect(page.locator("#cards li:nth-child(3)")).to_contain_text("the picture is missing")
        page.click("#cards li:nth-child(3) button")
        expect(page.locator("#problem")).to_contain_text("is missing, or cannot be played")
    (folder / "gallery/data_000.js").unlink()
    with new_page() as page:
        page.goto(address)
        expect(page.locator("#incomplete")).to_contain_text("6 of 6 tracks are not shown")


def test_a_script_put_into_the_page_does_not_run_and_loads_nothing(folder: Path) -> None:
    with new_page() as page:
        asked: list[str] = []
        page.on("requestfinished", lambda request: asked.append(request.url))
        page.goto((folder / "gallery/index.html").as_uri())
        blocked = page.evaluate(
            """async () => {
                const told = new Promise(done =>
                    document.addEventListener("securitypolicyviolation", event => {
                        if (event.effectiveDirective === "img-src") done(event.blockedURI);
                    }));
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                const image = document.createElement("img");
                image.src = "http://127.0.0.1:9/x.png";
                document.body.append(script, image);
                return [await told, window.ran === true];
            }"""
        )
    assert blocked == ["http://127.0.0.1:9/x.png", False]
    assert [url for url in asked if not url.startswith("file://")] == []
