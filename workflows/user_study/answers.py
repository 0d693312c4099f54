"""The answers of the user study in a SQLite file: written as they are given, no personal data.

A participant is a random token. Of an answer are kept: the two methods, the clip, which method was
on the left, and the choice. Neither address, browser nor time of day is.
"""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.errors import RunError
from infra.text import digest

Choice = Literal["left", "right", "tie"]
TABLE = """CREATE TABLE IF NOT EXISTS answers (
    participant TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL, clip_id TEXT NOT NULL,
    left_method TEXT NOT NULL, chosen TEXT NOT NULL,
    PRIMARY KEY (participant, first, second, clip_id))"""
# A table that somebody made without that key: of several answers to a question the first stays.
ANSWER = "participant, first, second, clip_id"
ONE_VOTE = (
    f"DELETE FROM answers WHERE rowid NOT IN (SELECT MIN(rowid) FROM answers GROUP BY {ANSWER})",
    f"CREATE UNIQUE INDEX one_vote ON answers ({ANSWER})",
)
WAIT = 30.0  # seconds that a writer waits for another


@dataclass(frozen=True)
class Question:
    """Two methods compared on one clip."""

    first: str
    second: str
    clip_id: str

    @property
    def key(self) -> str:
        """A short name of the question that is safe in an address and tells nothing of it."""
        return digest(self.first, self.second, self.clip_id).hex()[:16]


@dataclass(frozen=True)
class Shown:
    """A question as one participant sees it."""

    question: Question
    left: str
    right: str


class Answers:
    """What participants have chosen so far; safe with several at once and after a restart."""

    def __init__(self, file: Path) -> None:
        """Opens `file` or makes it; raises RunError where it cannot be used."""
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with self._connected() as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(TABLE)
                if not any(row[2] for row in database.execute("PRAGMA index_list(answers)")):
                    for statement in ONE_VOTE:
                        database.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise RunError(
                f"{file}: cannot keep answers there ({error}); give another --study.answers"
            ) from error

    def add(self, participant: str, shown: Shown, choice: Choice) -> None:
        """Keep an answer; the first one to a question counts, whatever comes after it."""
        chosen = {"left": shown.left, "right": shown.right, "tie": "tie"}[choice]
        asked = shown.question
        with self._connected() as database:
            database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                (participant, asked.first, asked.second, asked.clip_id, shown.left, chosen),
            )

    def answered(self, participant: str) -> set[Question]:
        """The questions that a participant has answered."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT first, second, clip_id FROM answers WHERE participant = ?", (participant,)
            )
            return {Question(*row) for row in rows}

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """For each pair of methods, how often each of them and "tie" was chosen."""
        found: dict[tuple[str, str], Counter[str]] = {}
        with self._connected() as database:
            rows = database.execute(
                "SELECT first, second, chosen, COUNT(*) FROM answers "
                "GROUP BY first, second, chosen ORDER BY MIN(rowid)"
            )
            for first, second, chosen, count in rows:
                found.setdefault((first, second), Counter())[chosen] = count
        return found

    def participants(self) -> int:
        """How many people have answered something."""
        with self._connected() as database:
            query = "SELECT COUNT(DISTINCT participant) FROM answers"
            return int(database.execute(query).fetchone()[0])

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # One connection a request: they come from several threads.
        with closing(sqlite3.connect(self.file, timeout=WAIT)) as database, database:
            yield database


def order(questions: list[Question], participant: str) -> list[Shown]:
    """The questions in the order and with the sides that this participant sees.

    Drawn from the participant's token, so that a restart of the server changes nothing.
    """
    drawn = random.Random(participant)
    shown = []
    for question in drawn.sample(questions, len(questions)):
        left, right = drawn.sample((question.first, question.second), 2)
        shown.append(Shown(question, left, right))
    return shown
