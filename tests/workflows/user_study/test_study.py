"""The user study: what is asked, what is kept, what is summed up, without a browser."""

import math
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from infra.errors import RunError
from workflows.user_study.answers import Answers, Question, order
from workflows.user_study.server import create_app
from workflows.user_study.summary import shares

# Names with a space, which no token, nonce or key of a question has: one in a page is no chance.
WARPED, PLAIN, BICUBIC = "by f5warp", "by f5", "by bicubic"
QUESTIONS = [
    Question(first, second, f"clip {number}")
    for first, second in ((WARPED, PLAIN), (WARPED, BICUBIC), (PLAIN, BICUBIC))
    for number in range(5)
]
PICTURES = {
    (question.key, name): f"{question.clip_id} {name}".encode()
    for question in QUESTIONS
    for name in (question.first, question.second, "reference")
}


def client(file: Path) -> FlaskClient:
    return create_app(QUESTIONS, PICTURES, Answers(file)).test_client()


def begin(visitor: FlaskClient) -> str:
    return visitor.post("/begin").headers["Location"].rsplit("/", 1)[1]


def test_every_participant_has_all_questions_in_an_order_and_with_sides_of_their_own() -> None:
    one, two = order(QUESTIONS, "one"), order(QUESTIONS, "two")
    assert {shown.question for shown in one} == set(QUESTIONS)
    assert [shown.question for shown in one] != [shown.question for shown in two]
    assert all({s.left, s.right} == {s.question.first, s.question.second} for s in one)
    many = [shown for token in range(40) for shown in order(QUESTIONS, str(token))]
    left = sum(shown.left == shown.question.first for shown in many) / len(many)
    assert 0.4 < left < 0.6
    assert order(QUESTIONS, "one") == one


def test_a_session_keeps_the_method_that_was_clicked_and_no_other_name(tmp_path: Path) -> None:
    visitor, file = client(tmp_path / "answers.sqlite"), tmp_path / "answers.sqlite"
    token = begin(visitor)
    wanted = {}
    for place, shown in enumerate(order(QUESTIONS, token)):
        page = visitor.get(f"/p/{token}").text
        assert f"Set {place + 1} of 15" in page
        assert not re.search(r"bicubic|by( |%20|\+)f5|clip( |%20|\+)", page)
        sides = {side: visitor.get(f"/p/{token}/{shown.question.key}/{side}.png").data
                 for side in ("left", "right", "reference")}  # fmt: skip
        assert sides["left"] == PICTURES[shown.question.key, shown.left]
        assert sides["right"] == PICTURES[shown.question.key, shown.right]
        assert sides["reference"] == PICTURES[shown.question.key, "reference"]
        choice = ("left", "right", "tie")[place % 3]
        wanted[shown.question] = {"left": shown.left, "right": shown.right}.get(choice, "tie")
        answer = visitor.post(f"/p/{token}/{shown.question.key}", data={"choice": choice})
        assert answer.status_code == 303
    assert "Thank you" in visitor.get(f"/p/{token}").text
    counts = Answers(file).counts()
    assert sum(found.total() for found in counts.values()) == 15
    for pair, found in counts.items():
        mine = [chosen for asked, chosen in wanted.items() if (asked.first, asked.second) == pair]
        assert {chosen: mine.count(chosen) for chosen in set(mine)} == dict(found)


def test_a_restart_goes_on_and_a_second_click_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    visitor = client(file)
    token = begin(visitor)
    first = order(QUESTIONS, token)[0]
    address = f"/p/{token}/{first.question.key}"
    visitor.post(address, data={"choice": "left"})
    again = client(file)
    again.post(address, data={"choice": "right"})
    assert "Set 2 of 15" in again.get(f"/p/{token}").text
    pair = (first.question.first, first.question.second)
    assert dict(Answers(file).counts()[pair]) == {first.left: 1}


def test_a_file_of_before_the_constraint_goes_on_and_counts_one_vote(tmp_path: Path) -> None:
    file, shown = tmp_path / "answers.sqlite", order(QUESTIONS, "one")[0]
    asked = shown.question
    row = ("one", asked.first, asked.second, asked.clip_id, shown.left)
    with closing(sqlite3.connect(file)) as database, database:
        columns = "participant, first, second, clip_id, left_method, chosen"
        database.execute(f"CREATE TABLE answers ({columns})")
        for chosen in (shown.right, "tie"):
            database.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", (*row, chosen))
    for _ in range(2):  # a second opening changes nothing
        answers = Answers(file)
        answers.add("one", shown, "left")
        assert answers.counts() == {(asked.first, asked.second): {shown.right: 1}}
    answers.add("two", shown, "left")
    assert answers.counts() == {(asked.first, asked.second): {shown.right: 1, shown.left: 1}}


def test_every_answer_has_a_policy_and_no_script_without_its_nonce(tmp_path: Path) -> None:
    visitor = client(tmp_path / "answers.sqlite")
    token = begin(visitor)
    key = order(QUESTIONS, token)[0].question.key
    nonces = set()
    for address in ("/", f"/p/{token}", f"/p/{token}/{key}/left.png", "/nowhere"):
        answer = visitor.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'nonce-")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
        nonces.add(nonce)
        if answer.mimetype == "text/html" and answer.status_code == 200:
            inline = re.findall("<(?:script|style)[^>]*>", answer.text)
            assert inline and all(f'nonce="{nonce}"' in tag for tag in inline)
            assert not re.search(r"\son\w+=|\sstyle=|javascript:", answer.text)
    assert len(nonces) == 4


def test_another_sites_form_neither_begins_nor_votes(tmp_path: Path) -> None:
    visitor = client(tmp_path / "answers.sqlite")
    token = begin(visitor)
    vote = f"/p/{token}/{order(QUESTIONS, token)[0].question.key}"
    for address in ("/begin", vote):
        for site in ("cross-site", "same-site"):
            answer = visitor.post(
                address, data={"choice": "left"}, headers={"Sec-Fetch-Site": site}
            )
            assert answer.status_code == 403
    assert Answers(tmp_path / "answers.sqlite").participants() == 0
    own = {"Sec-Fetch-Site": "same-origin"}
    assert visitor.post(vote, data={"choice": "left"}, headers=own).status_code == 303


def test_several_at_once_lose_no_answer(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.sqlite")

    def take_part(token: str) -> None:
        for shown in order(QUESTIONS, token):
            answers.add(token, shown, "tie")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take_part, [f"participant {number}" for number in range(8)]))
    assert answers.participants() == 8
    assert all(found == {"tie": 40} for found in answers.counts().values())


def test_wrong_addresses_choices_and_hosts_are_refused(tmp_path: Path) -> None:
    visitor = client(tmp_path / "answers.sqlite")
    token = begin(visitor)
    key = order(QUESTIONS, token)[0].question.key
    assert visitor.post(f"/p/{token}/nothing", data={"choice": "left"}).status_code == 404
    assert visitor.post(f"/p/{token}/{key}", data={"choice": "both"}).status_code == 400
    assert visitor.get(f"/p/{token}/{key}/middle.png").status_code == 404
    assert visitor.get("/", headers={"Host": "example.org"}).status_code == 400


def test_shares_have_wilson_intervals(tmp_path: Path) -> None:
    """(p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96 for 95 %."""
    answers = Answers(tmp_path / "answers.sqlite")
    for number in range(10):
        for shown in order(QUESTIONS[:1], str(number)):
            chosen = "tie" if number < 2 else "left" if shown.left == WARPED else "right"
            answers.add(str(number), shown, chosen)
    rows = shares(answers)[WARPED, PLAIN]
    assert [(row.outcome, row.count) for row in rows] == [(WARPED, 8), ("tie", 2), (PLAIN, 0)]
    z, n = 1.959964, 10
    for row in rows:
        p = row.count / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        assert row.low == pytest.approx(middle - reach, abs=1e-6)
        assert row.high == pytest.approx(middle + reach, abs=1e-6)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    file.write_text("not a database, but long enough to be taken for one" * 40)
    with pytest.raises(RunError, match=r"answers\.sqlite: cannot keep answers"):
        Answers(file)
