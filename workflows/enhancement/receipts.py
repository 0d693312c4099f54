"""What the stage enhance leaves: the outcome of each source, and the manifest of all tracks."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from datasets.sources.layouts import Source
from infra import storage
from infra.errors import RunError
from infra.progress import say
from infra.runs import Stage
from infra.text import digest, tallied
from workflows.shared.result_files import (
    problems_of,
    read_outcomes,
    write_errors,
    write_outcomes,
    write_rows,
)

OUTCOME = "outcome.json"  # of each source, in the folder of its results
OURS = re.compile(r"track_\d+\.mp4|outcome\.json.*")  # what lies there
MANIFEST = pa.schema(
    [
        pa.field(
            "video",
            pa.string(),
            metadata={"description": "the source: its path under the root, which stage.json names"},
        ),
        pa.field("identity", pa.string(), metadata={"description": "its parent folder"}),
        pa.field("track", pa.int32(), metadata={"description": "number of the track, from 0"}),
        pa.field("first_frame", pa.int64(), metadata={"description": "index in the source"}),
        pa.field("frames", pa.int64(), metadata={"description": "frames of the track"}),
        pa.field("fps", pa.string(), metadata={"description": "usual rate as a fraction"}),
        pa.field(
            "start",
            pa.float64(),
            metadata={"description": "of its first frame, since the source's first [s]"},
        ),
        pa.field(
            "times",
            pa.list_(pa.float64()),
            metadata={
                "description": "of each frame, since the source's first [s]; empty where all lie "
                "within 1 ms of start + (index - first_frame) / fps"
            },
        ),
        pa.field(
            "break_before",
            pa.string(),
            metadata={
                "description": "why a shot begins with the track, whatever is seen: damage, pause, "
                "clock, frames missing; empty: seen, or no shot does"
            },
        ),
        pa.field(
            "pixel_aspect",
            pa.float64(),
            metadata={"description": "width by height of a stored pixel; frames have square ones"},
        ),
        pa.field("crop_side", pa.float64(), metadata={"description": "median side [source px]"}),
        pa.field(
            "input",
            pa.string(),
            metadata={
                "description": "native: the crop was small enough for the network's input, and "
                "`resized` to it; degraded: it was larger and was made as small as in training, so "
                "the source shows more"
            },
        ),
        pa.field(
            "resized",
            pa.float64(),
            metadata={
                "description": "input pixels a source pixel; under 0.9 the source shows more than "
                "the network has seen"
            },
        ),
        pa.field("variant", pa.string(), metadata={"description": "what restored it"}),
        pa.field(
            "scale", pa.int32(), metadata={"description": "restored pixels a pixel of its input"}
        ),
        pa.field("weights", pa.string(), metadata={"description": "SHA-256 of the weights"}),
        pa.field(
            "output", pa.string(), metadata={"description": "the mp4 of faces, under the run"}
        ),
    ]
)


@dataclass(frozen=True)
class Restored:
    """What became of one source, of the files and with the settings that `fingerprint` is of: the
    rows of the manifest of its `tracks`, how many were `rejected` and how many frames `treated`, by
    reason, or why there is no track, in a sentence and in words that are the same for every
    source."""

    name: str
    fingerprint: str
    tracks: list[dict[str, Any]]
    rejected: dict[str, int]
    treated: dict[str, int]
    kind: str
    reason: str


def from_json(content: dict[str, Any]) -> Restored:
    """An outcome as it was written; raises RunError where another version wrote it."""
    try:
        return Restored(**content)
    except TypeError as error:
        raise RunError.of_another_version("enhance") from error


def outcomes_among(files: list[str]) -> list[Restored]:
    """The outcomes of sources among the files below the stage's folder."""
    outcomes = [uri for uri in files if uri.endswith(f"/{OUTCOME}")]
    return [from_json(json.loads(content)) for content in storage.read_all(outcomes)]


def complete_outcomes(folder: str) -> list[Restored]:
    """The outcomes of all sources of a stage when it was complete; [] where it never was."""
    return [from_json(found) for found in read_outcomes(folder)]


def write_tables(stage: Stage, outcomes: list[Restored], allowed: float) -> None:
    """Write `manifest.parquet` and `errors.parquet`, and count what is in them; more errors than
    `allowed` are exit status 1."""
    tracks = [row for outcome in outcomes for row in outcome.tracks]
    errors = problems_of("enhance", outcomes)
    write_rows(stage.path("manifest.parquet"), tracks, MANIFEST)
    write_errors(stage.path("errors.parquet"), errors)
    write_outcomes(stage.uri, outcomes)
    rejected = _sum(outcome.rejected for outcome in outcomes)
    if rejected:
        say(stage.name, f"tracks left out: {tallied(rejected)}")
    stage.counts |= _sum(outcome.treated for outcome in outcomes) | {
        "sources": len(outcomes),
        "tracks": len(tracks),
        "rejected_tracks": dict(rejected),
        "frames": sum(row["frames"] for row in tracks),
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
    plain = "/".join(
        "_" * bool(OURS.fullmatch(part)) + part.encode()[:200].decode(errors="ignore")
        for part in parts
    )
    if plain == source.name:
        return plain
    return f"{plain}-{digest(source.name).hex()[:8]}"
