"""What became of each film, and the tables of all."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from datasets.sources.layouts import Source
from infra import storage
from infra.errors import RunError
from infra.progress import say
from infra.runs import Stage
from infra.text import digest, tallied
from workflows.enhancement.manifest import FILMS, MANIFEST, OF_FILMS, TRACKS
from workflows.shared.result_files import (
    problems_of,
    read_outcomes,
    write_errors,
    write_outcomes,
    write_rows,
)

RECEIPT = "receipt.json"  # of each film, in the folder of its results; written last
# What lies in such a folder and in the stage's own: no film's folder is called so.
OURS = re.compile(
    r"track_\d+([._].*)?|restored\.\w+|\w+\.parquet|(receipt|stage|started)\.json.*|\.spans-.*|gallery"
)


@dataclass(frozen=True)
class Receipt:
    """What became of one film, of the files and with the settings and weights that `fingerprint` is
    of: the rows of the manifest of its `tracks` and of itself, or why there is no track, in words
    that are the same for every film (`kind`) and in a sentence."""

    name: str
    fingerprint: str
    tracks: list[dict[str, Any]]
    film: dict[str, Any]
    kind: str
    reason: str


def from_json(content: dict[str, Any]) -> Receipt:
    """A receipt as it was written; raises RunError where another version wrote it."""
    try:
        return Receipt(**content)
    except TypeError as error:
        raise RunError.of_another_version("enhance") from error


def receipts_among(files: list[str]) -> list[Receipt]:
    """The receipts of films among the files below the stage's folder."""
    receipts = [uri for uri in files if uri.endswith(f"/{RECEIPT}")]
    return [from_json(json.loads(content)) for content in storage.read_all(receipts)]


def complete_receipts(folder: str) -> list[Receipt]:
    """The receipts of all films of a stage when it was complete; [] where it never was."""
    return [from_json(found) for found in read_outcomes(folder)]


def remove_results(folder: str) -> None:
    """Remove what was written of a film into its folder, in which that of others may lie."""
    storage.remove_all([
        uri for uri in storage.files(folder)
        if OURS.fullmatch(uri.removeprefix(folder).strip("/").partition("/")[0])
    ])  # fmt: skip


def write_tables(stage: Stage, receipts: list[Receipt], allowed: float) -> None:
    """Write the tables of tracks, films and errors, and count what is in them; more errors than
    `allowed` are exit status 1."""
    tracks = [row for receipt in receipts for row in receipt.tracks]
    errors = problems_of("enhance", receipts)
    write_rows(stage.path(TRACKS), tracks, MANIFEST)
    write_rows(stage.path(FILMS), [receipt.film for receipt in receipts], OF_FILMS)
    write_errors(stage.path("errors.parquet"), errors)
    write_outcomes(stage.uri, receipts)
    rejected = _sum(receipt.film["rejected"] for receipt in receipts)
    if rejected:
        say(stage.name, f"tracks left out: {tallied(rejected)}")
    stage.counts |= _sum(receipt.film["treated"] for receipt in receipts) | {
        "sources": len(receipts),
        "tracks": len(tracks),
        "rejected_tracks": dict(rejected),
        "faces": sum(row["frames"] for row in tracks),
        "errors": len(errors),
        "exit_status": int(len(errors) > allowed),
    }


def _sum(counts: Iterable[dict[str, int]]) -> Counter[str]:
    return sum(map(Counter, counts), Counter[str]())


def safe_name(source: Source) -> str:
    """The folder of a source's results: its name, made unique and safe for any file system."""
    plain = "".join(c if c.isalnum() or c in "-_./" else "_" for c in source.name)
    parts = (part for part in plain.split("/") if part not in ("", ".", ".."))
    # File systems take 255 bytes a part; what is added below and to files needs some of them.
    # A folder that is called as a file of another source's results has another name than it.
    short = (part.encode()[:200].decode(errors="ignore") for part in parts)
    plain = "/".join("_" * bool(OURS.fullmatch(part)) + part for part in short)
    if plain == source.name:
        return plain
    return f"{plain}-{digest(source.name).hex()[:8]}"
