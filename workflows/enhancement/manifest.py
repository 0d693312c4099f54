"""The tables over a collection: a row a track (`manifest.parquet`) and a row a film
(`films.parquet`)."""

from typing import Any

import pyarrow as pa

TRACKS, FILMS = "manifest.parquet", "films.parquet"
# Columns whose values are paths under the run.
FILES = ("output", "side_by_side", "pictures", "picture", "film", "frames_table")
VIDEO = "the source: its path under the root, which stage.json names"
SECONDS = pa.map_(pa.string(), pa.float64())
COUNTS = pa.map_(pa.string(), pa.int64())


def _schema(columns: list[tuple[str, pa.DataType, str]]) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, metadata={"description": about}) for name, kind, about in columns]
    )


MANIFEST = _schema([
    ("video", pa.string(), VIDEO),
    ("identity", pa.string(), "its parent folder"),
    ("track", pa.int32(), "number of the track, from 0"),
    ("first_frame", pa.int64(), "index in the source"),
    ("frames", pa.int64(), "frames of the track"),
    ("fps", pa.string(), "usual rate as a fraction"),
    ("start", pa.float64(), "of its first frame, since the source's first [s]"),
    ("seconds", pa.float64(), "from the start of its first frame to the end of its last"),
    (
        "times", pa.list_(pa.float64()),
        "of each frame, since the source's first [s]; empty where all lie within 1 ms of start + "
        "(index - first_frame) / fps",
    ),
    (
        "break_before", pa.string(),
        "why a shot begins with the track, whatever is seen: damage, pause, clock, frames missing; "
        "empty: seen, or no shot does",
    ),
    (
        "pixel_aspect", pa.float64(),
        "width by height of a stored pixel; frames have square ones",
    ),
    ("crop_side", pa.float64(), "median side [source px]"),
    ("face_side", pa.float64(), "of the face in it, median [source px]"),
    (
        "input", pa.string(),
        "native: the crop was small enough for the network's input, and `resized` to it; degraded: "
        "it was larger and was made as small as in training, so the source shows more",
    ),
    (
        "resized", pa.float64(),
        "input pixels a source pixel; under 0.9 the source shows more than the network has seen",
    ),
    ("score", pa.float64(), "of the detector, median; null where it tells none"),
    ("sharpness", pa.float64(), "of the network's input, median (datasets/clips/sharpness.py)"),
    (
        "consistency", pa.float64(),
        "PSNR on luma of the restored face, made as small as the input, against it, median [dB]",
    ),
    ("variant", pa.string(), "what restored it"),
    ("scale", pa.int32(), "restored pixels a pixel of its input"),
    ("weights", pa.string(), "SHA-256 of the weights"),
    ("output", pa.string(), "the mp4 of restored faces, under the run; null: not asked for"),
    ("side_by_side", pa.string(), "the mp4 of input, bicubic, restored, likewise"),
    ("pictures", pa.string(), "the folder of PNG files, likewise"),
    ("best_frame", pa.int64(), "index in the source of the frame that the gallery shows"),
    ("picture", pa.string(), "the JPEG of that frame, under the run"),
])  # fmt: skip
OF_FILMS = _schema([
    ("video", pa.string(), VIDEO),
    ("identity", pa.string(), "its parent folder"),
    ("frames", pa.int64(), "frames that were read"),
    ("seconds", pa.float64(), "how long they play"),
    ("fps", pa.string(), "usual rate as a fraction; null where it could not be read"),
    ("width", pa.int64(), "of the picture as shown [px]"),
    ("height", pa.int64(), "likewise"),
    ("tracks", pa.int64(), "faces that were restored"),
    ("faces", pa.int64(), "frames of all tracks"),
    ("rejected", COUNTS, "tracks that were left out, by reason"),
    ("treated", COUNTS, "how many frames were mended, or ends are lost, by kind"),
    ("took", SECONDS, "seconds in each step: read, restore, write"),
    ("film", pa.string(), "the film with restored faces in it, under the run; null: not asked for"),
    ("left_out_streams", pa.list_(pa.string()), "streams of the source that it could not take"),
    ("changed_streams", pa.list_(pa.string()), "its sound that had to be decoded, and to what"),
    ("left_out_tags", pa.list_(pa.string()), "texts about it that it could not take"),
    ("frames_table", pa.string(), "the table of all frames, under the run"),
    ("kind", pa.string(), "why it gives nothing, in words that are the same for all; or empty"),
    ("error", pa.string(), "the same in a sentence about this one"),
])  # fmt: skip


def row_of_film(**fields: Any) -> dict[str, Any]:
    """A row of `OF_FILMS`; what is not given is null."""
    return {name: fields.pop(name, None) for name in OF_FILMS.names} | fields
