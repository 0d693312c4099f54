"""What the stage enhance leaves: the outcome of each source, and the manifest of all tracks."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from datasets.sources.layouts import Source
from infra.errors import RunError
from infra.runs import Stage
from infra.text import digest
from workflows.shared.result_files import problems_of, write_errors, write_rows

MANIFEST = pa.schema(
    [
        pa.field("uri", pa.string(), metadata={"description": "the source"}),
        pa.field("video", pa.string(), metadata={"description": "its path under the root"}),
        pa.field("identity", pa.string(), metadata={"description": "its parent folder"}),
        pa.field("track", pa.int32(), metadata={"description": "number of the track, from 0"}),
        pa.field("first_frame", pa.int64(), metadata={"description": "index in the source"}),
        pa.field("frames", pa.int64(), metadata={"description": "frames of the track"}),
        pa.field("fps", pa.string(), metadata={"description": "frame rate as a fraction"}),
        pa.field("crop_side", pa.float64(), metadata={"description": "median side [source px]"}),
        pa.field(
            "input",
            pa.string(),
            metadata={
                "description": "native: the crop was as small as the network's input; degraded: "
                "it was larger and was made as small as in training, so the source shows more"
            },
        ),
        pa.field("variant", pa.string(), metadata={"description": "what restored it"}),
        pa.field("weights", pa.string(), metadata={"description": "SHA-256 of the weights"}),
        pa.field("output", pa.string(), metadata={"description": "the mp4 of restored faces"}),
    ]
)


@dataclass(frozen=True)
class Restored:
    """What became of one source: the rows of the manifest of its `tracks`, or why there are none,
    in a sentence and in words that are the same for every source."""

    name: str
    uri: str
    tracks: list[dict[str, Any]]
    kind: str
    reason: str


def from_json(text: str) -> Restored:
    """An outcome as it was written; raises RunError where another version wrote it."""
    try:
        return Restored(**json.loads(text))
    except TypeError as error:
        raise RunError.of_another_version("enhance") from error


def write_tables(stage: Stage, outcomes: list[Restored], allowed: float) -> None:
    """Write `manifest.parquet` and `errors.parquet`, and count what is in them; more errors than
    `allowed` are exit status 1."""
    tracks = [row for outcome in outcomes for row in outcome.tracks]
    errors = problems_of("enhance", outcomes)
    write_rows(stage.path("manifest.parquet"), tracks, MANIFEST)
    write_errors(stage.path("errors.parquet"), errors)
    stage.counts |= {
        "sources": len(outcomes),
        "tracks": len(tracks),
        "frames": sum(row["frames"] for row in tracks),
        "errors": len(errors),
        "exit_status": int(len(errors) > allowed),
    }


def safe_name(source: Source) -> str:
    """The folder of a source's results: its name, made unique and safe for any file system."""
    plain = "".join(c if c.isalnum() or c in "-_./" else "_" for c in source.name)
    parts = (part for part in plain.split("/") if part not in ("", ".", ".."))
    # File systems take 255 bytes a part; what is added below and to files needs some of them.
    plain = "/".join(part.encode()[:200].decode(errors="ignore") for part in parts)
    if plain == source.name:
        return plain
    return f"{plain}-{digest(source.name).hex()[:8]}"
