"""The output `frames`: a table of every face and frame, by which anybody can paste for himself."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra import storage
from workflows.enhancement.outputs.output import Output
from workflows.enhancement.spans import Span, TrackPart

NAME = "frames.parquet"
SQUARE = "left, top and side of the square {} [px of the film as shown, (0, 0) at the corner]"
COLUMNS: list[tuple[str, pa.DataType, str]] = [
    ("track", pa.int32(), "number of the track"),
    ("frame", pa.int64(), "index of the frame in the film"),
    ("time", pa.float64(), "when it is shown, since the film's first frame [s]"),
    ("crop", pa.list_(pa.float64(), 3), SQUARE.format("that was cut and is restored")),
    ("face", pa.list_(pa.float64(), 3), SQUARE.format("of the face, smoothed")),
    ("score", pa.float32(), "of the detector, in [0, 1]; null where it tells none"),
    ("sharpness", pa.float32(), "of the network's input (datasets/clips/sharpness.py)"),
    (
        "consistency",
        pa.float32(),
        "PSNR on luma of the restored face, made as small as the input, against it [dB]",
    ),
]
SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": about}) for name, kind, about in COLUMNS]
)


class FramesTable(Output):
    """`frames.parquet` of a film, a row group a span, rows in order of span and track."""

    def begin(self) -> None:
        self.uri = self.place.uri(NAME)
        path = self.stack.enter_context(storage.whole(self.uri))
        with storage.writing(self.uri):
            self._writer = self.stack.enter_context(pq.ParquetWriter(str(path), SCHEMA))
        self.of_film = {"frames_table": NAME}

    def add(self, span: Span) -> None:
        if span.parts:
            with storage.writing(self.uri):
                self._writer.write_table(pa.concat_tables(_table(part) for part in span.parts))


def _table(part: TrackPart) -> pa.Table:
    count = len(part.low)
    squares = [
        pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 3)
        for values in (part.crops, part.faces)
    ]
    scores = pa.array(part.scores, mask=np.isnan(part.scores))
    columns = [
        pa.array(np.full(count, part.track, np.int32)),
        pa.array(np.arange(part.first, part.first + count)),
        pa.array(part.times), *squares, scores, pa.array(part.sharpness),
        pa.array(part.consistency),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=SCHEMA)
