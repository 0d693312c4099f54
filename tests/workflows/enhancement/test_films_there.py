"""What is there of films already, and what of it is no longer true."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets.sources.layouts import Source
from infra.runs import Run
from infra.settings.settings import Settings
from workflows.enhancement import films, graph
from workflows.enhancement.films import found_among
from workflows.enhancement.receipts import OURS, Receipt, safe_name
from workflows.enhancement.spans import Verdict
from workflows.enhancement.steps import store
from workflows.enhancement.steps.pieces import Piece
from workflows.shared.source_survey import fingerprint


def source(name: str) -> Source:
    return Source(f"/x/{name}", name, "a", "video", stamp="1")


def receipt(name: str, reason: str = "") -> Receipt:
    film = {"tracks": 1, "faces": 5, "kind": reason, "error": reason}
    return Receipt(name, fingerprint("s", source(name)), [{"video": name}], film, reason, reason)


def test_what_is_stale_is_that_of_films_to_be_made_and_its_receipt_comes_first() -> None:
    """Of a film that is kept, too, spans are: it was written, and they were not removed yet."""
    now = store.folder_of("/e/a/1.mp4", fingerprint("s", source("a/1.mp4"))).rpartition("/")[2]
    stale = [
        "a/1.mp4/receipt.json", "a/1.mp4/.spans-old/000000.npz", "a/1.mp4/film.mkv",
        "a/1.mp4/track_000/000000.png", "a/2.mp4/.spans-x/000000.npz",
    ]  # fmt: skip
    kept = [f"a/1.mp4/{now}/000003.npz", "a/2.mp4/receipt.json", "a/1.mp4/b/2.mp4/receipt.json",
            "stage.json", "gallery/index.html"]  # fmt: skip
    found = found_among(sorted(f"/e/{name}" for name in stale + kept), "/e", "s",
                        [source("a/1.mp4")])  # fmt: skip
    assert found.stale[0] == f"/e/{stale[0]}"
    assert sorted(found.stale) == sorted(f"/e/{name}" for name in stale)
    assert found.spans == {"a/1.mp4": [3]}


def test_what_a_command_that_was_cut_off_has_removed_is_tried_again_with_the_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `2` nothing is there though it was complete; `3` is gone from the source, too."""
    monkeypatch.setattr(films, "_films", lambda *_: [source("1"), source("2")])
    before = [receipt("1"), receipt("2"), receipt("3")]
    found = films.reading(Settings(retry_errors=True), Run("/x"), "s", [receipt("1")], before)
    assert [each.name for each in found.left] == ["2"]
    there, gone = found.kept
    assert there == receipt("1")
    assert gone.name == "3" and gone.tracks == [] and "give the command again" in gone.reason
    assert gone.film["error"] == gone.reason


def test_what_a_run_among_its_films_holds_is_none_of_them(tmp_path: Path) -> None:
    names = ["a/1.mp4", "b/2.mp4", "out/enhanced/a/1.mp4/track_000.mp4", "output/3.mp4"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no film")

    def found(source: Path) -> list[str]:
        settings = Settings()
        settings.enhance.source = str(source)
        left = films.reading(settings, Run(str(tmp_path / "out")), "s", [], []).left
        return sorted(film.name for film in left)

    assert found(tmp_path) == ["a/1.mp4", "b/2.mp4", "output/3.mp4"]
    assert found(tmp_path / "out/enhanced") == ["a/1.mp4/track_000.mp4"]  # as asked for


@pytest.mark.parametrize(
    "name", ["track_7", "film.mp4", f"track_{'1' * 300}x/v.mp4", "gallery/v.mp4", "../a//v.mp4"]
)
def test_no_film_is_called_as_files_of_another(name: str) -> None:
    parts = safe_name(source(name)).split("/")
    assert not any(OURS.fullmatch(part) or part in ("", ".", "..") for part in parts)
    assert all(len(part.encode()) < 240 for part in parts)


def test_spans_of_a_film_that_now_fails_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was cut off at its second span, and cannot be read any more; its receipt alone comes."""
    forgotten = []

    class Writer:
        def forget(self, film: Source) -> None:
            forgotten.append(film.name)

    row: dict[str, Any] = {"source": "1", "receipt": '{"name": "1", "fingerprint": "", '
                           '"tracks": [], "film": {}, "kind": "k", "reason": "r"}'}  # fmt: skip
    monkeypatch.setattr(graph, "rows", lambda _: iter([row]))
    found = graph._receipts(None, [source("1")], {"1": [0]}, Writer())  # type: ignore[arg-type]
    assert [each.reason for each in found] == ["r"] and forgotten == ["1"]


def test_a_film_is_whole_with_its_verdict_and_all_its_spans() -> None:
    """In whatever order they come, those of an earlier command among them."""
    piece = Piece(source("1"), None, None, seconds={"restore": 1.0})
    kept = graph._Kept(source("1"), {0})
    assert kept.take(replace(piece, verdict=Verdict(spans=3)), 2) is None
    whole = kept.take(piece, 1)
    assert whole is not None and whole.verdict == Verdict(spans=3)
    assert whole.seconds == {"restore": 2.0}
