"""The columns of a shard: what each holds, and its type in Arrow."""

from dataclasses import fields

import pyarrow as pa

from datasets.clips.clip import Clip
from infra.conventions import CONTROL_POINTS

SCHEMA_VERSION = "3"
VERSION_KEY = b"facestack.schema"

# Column → what it holds; also written into each file as the description of its field.
COLUMNS = {
    "clip_id": "video#track@frame",
    "identity": "the person: name of the video's folder; video/#N for who is seen beside them",
    "video": "path of the video under the source root",
    "track": "number of the track in the video, from 0",
    "frame": "index of the central frame in the video, from 0; 0 for a still",
    "fps": "frames per second of the video; 25 for images",
    "low": "T×h×w×3 RGB, low-resolution frames in temporal order, the central one at T//2",
    "high": "S×S×3 RGB, the high-resolution central frame",
    "neighbour": "S×S×3 RGB, the high-resolution frame at neighbour_offset from the centre",
    "neighbour_offset": "in [-T//2, T//2], not 0; drawn from the seed and the clip id",
    "boxes": "T×4: x, y, width, height of each crop in pixels of the video",
    "motion": "T×64×2: the shifts (x, y) of the 8×8 control points over [-1, 1]², row by row from "
    "the top left, by which frame t becomes the central one: with their thin-plate spline d_t, "
    "central(p) = frame_t(p + d_t(p)); 1 is half the side of the frame. Known in bursts from "
    "stills, measured between the sharp frames of footage (datasets.clips.flow); NaN where neither",
    "order": "63-bit hash of the seed and the clip id, by which shards are sorted",
    "sharpness": "of the high frame, by datasets.clips.sharpness: 0 flat, 6 to 24 most faces",
    "degradation": "JSON: kind (paper, bicubic, realistic) and the parameters of this clip",
}
assert set(COLUMNS) == {column.name for column in fields(Clip)}


def schema(size: int, low_size: int, num_frames: int) -> pa.Schema:
    """Gives the Arrow schema of clips with `size`² high and `num_frames` `low_size`² low pixels.

    Parts hold tensors packed (`tensors.pack`): they are read a row at a time, and by nobody else.
    """
    image = pa.fixed_shape_tensor(pa.uint8(), [size, size, 3])
    types = {
        "clip_id": pa.string(),
        "identity": pa.string(),
        "video": pa.string(),
        "track": pa.int32(),
        "frame": pa.int32(),
        "fps": pa.float64(),
        "low": pa.fixed_shape_tensor(pa.uint8(), [num_frames, low_size, low_size, 3]),
        "high": image,
        "neighbour": image,
        "neighbour_offset": pa.int32(),
        "boxes": pa.fixed_shape_tensor(pa.float32(), [num_frames, 4]),
        "motion": pa.fixed_shape_tensor(pa.float16(), [num_frames, CONTROL_POINTS, 2]),
        "order": pa.int64(),
        "sharpness": pa.float64(),
        "degradation": pa.string(),
    }
    columns = [
        pa.field(name, types[name], nullable=False, metadata={"description": text})
        for name, text in COLUMNS.items()
    ]
    return pa.schema(columns, metadata={VERSION_KEY: SCHEMA_VERSION.encode()})
