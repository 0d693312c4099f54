"""The user study in a real browser, clicked and typed through to its end."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server

from tests.integration.browser.chromium import needed, new_page
from tests.support.waiting import PATIENCE
from workflows.user_study.answers import Answers, Question
from workflows.user_study.server import HOST, create_app

pytestmark = [pytest.mark.integration, needed]
QUESTIONS = [
    Question(first, second, f"clip {number}")
    for first, second in (("f5warp", "f5"), ("f5warp", "bicubic"), ("f5", "bicubic"))
    for number in range(5)
]
LEVELS = {"f5warp": 230, "f5": 140, "bicubic": 60, "reference": 200}


@pytest.fixture
def study(tmp_path: Path) -> Iterator[tuple[str, Answers]]:
    """A running study whose faces are grey squares, one level a method; its address, its file."""
    answers = Answers(tmp_path / "answers.sqlite")
    pictures = {
        (question.key, name): bytes(
            cv2.imencode(".png", np.full((128, 128, 3), LEVELS[name], np.uint8))[1]
        )
        for question in QUESTIONS
        for name in (question.first, question.second, "reference")
    }
    server = make_server(HOST, 0, create_app(QUESTIONS, pictures, answers), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{HOST}:{server.server_port}/", answers
    server.shutdown()
    thread.join()
    server.server_close()


def level(page: Page, choice: str) -> int:
    """The grey of the picture on a button, as the browser shows it."""
    return int(
        page.evaluate(
            """async name => {
                const image = document.querySelector(`#${name} img`);
                await image.decode();
                const canvas = document.createElement("canvas");
                canvas.width = canvas.height = 1;
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0, 1, 1);
                return context.getImageData(0, 0, 1, 1).data[0];
            }""",
            choice,
        )
    )


def take_part(address: str, with_keys: bool, picture: str | None = None) -> int:
    """Always choose the brighter side, by mouse or by keys; gives the questions answered."""
    keys = {"left": "ArrowLeft", "right": "ArrowRight"}
    with new_page(viewport={"width": 1000, "height": 720}) as page:
        page.goto(address)
        page.get_by_role("button", name="Begin").click()
        answered = 0
        while page.get_by_text("Thank you").count() == 0:
            page.get_by_text(f"Set {answered + 1} of 15").wait_for()
            if picture is not None and answered == 0:
                page.screenshot(path=picture)
            brighter = max(("left", "right"), key=lambda side: level(page, side))
            with page.expect_navigation():
                if with_keys:
                    page.keyboard.press(keys[brighter])
                else:
                    page.locator(f"#{brighter}").click()
            answered += 1
    return answered


def test_two_participants_at_once_click_and_type_to_the_end(study: tuple[str, Answers]) -> None:
    address, answers = study
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(take_part, address, with_keys, os.environ.get("FACESTACK_STUDY_PICTURE"))
            for with_keys in (False, True)
        ]
        assert [run.result(timeout=PATIENCE) for run in runs] == [15, 15]
    assert answers.participants() == 2
    assert {pair: dict(found) for pair, found in answers.counts().items()} == {
        ("f5warp", "f5"): {"f5warp": 10},
        ("f5warp", "bicubic"): {"f5warp": 10},
        ("f5", "bicubic"): {"f5": 10},
    }


def test_the_pages_own_style_counts_and_a_script_put_into_it_does_not_run(
    study: tuple[str, Answers],
) -> None:
    with new_page() as page:
        page.goto(study[0])
        page.get_by_role("button", name="Begin").click()
        shown = page.evaluate("getComputedStyle(document.querySelector('form.faces')).display")
        ran = page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.body.append(script);
                document.body.insertAdjacentHTML("beforeend", '<b id=b onclick="ran=true">b</b>');
                document.getElementById("b").click();
                return window.ran === true;
            }"""
        )
    assert (shown, ran) == ("grid", False)
