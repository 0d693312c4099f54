"""What the files beside the pixels of a folder of frames tell: missing frames, and known faces."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import median

import numpy as np

from datasets.sources.footage import Boxes
from infra import storage
from infra.errors import InputError

GAP = 1.5  # a step of more than this many usual ones in the numbering: frames are missing


class LabelError(InputError):
    """A file of face boxes that is missing or has a row of another form."""


def missing_before(names: Sequence[str]) -> frozenset[int]:
    """Gives the indices of the files before which the numbering jumps, so that a track ends there.

    A file's number is the last one in its name. Names without numbers that rise tell nothing.
    """
    found = [re.findall(r"\d+", PurePosixPath(name).stem) for name in names]
    if len(names) < 3 or not all(found):
        return frozenset()
    steps = [int(b[-1]) - int(a[-1]) for a, b in pairwise(found)]
    if min(steps) < 1:
        return frozenset()
    usual = median(steps)
    return frozenset(index for index, step in enumerate(steps, 1) if step > GAP * usual)


def faces_of(labels: str, video: str, names: Sequence[str]) -> tuple[Boxes, ...]:
    """Reads the boxes N×4 (x, y, width, height; pixels) of each of the frames `names` of `video`.

    `labels` is the URI of a `<person>.labeled_faces.txt` of YouTube Faces, with the rows
    `person\\video\\frame.jpg, -, x centre, y centre, width, height, -, -`; a row that names no
    folder is of any video. A frame without a row has no face. Raises `LabelError`, naming file and
    line, for a file that cannot be read, a row of another form, and where no frame has a row.
    """
    filesystem, path = storage.file_system(labels)
    try:
        text = filesystem.cat_file(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise LabelError.at(
            labels, "the boxes of its faces cannot be read", f" ({error})"
        ) from error
    boxes: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in names}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            folder, name, box = _row(line, f"{labels}:{number}")
            if name in boxes and folder in ("", video):
                boxes[name].append(box)
    if not any(boxes.values()):
        raise LabelError.at(labels, "has no row for any frame", f", such as {video}/{names[0]}")
    return tuple(np.array(boxes[name], np.float32).reshape(-1, 4) for name in names)


def _row(line: str, where: str) -> tuple[str, str, tuple[float, float, float, float]]:
    """The folder and the name of the frame of a row, and its box."""
    fields = [field.strip() for field in line.split(",")]
    try:
        x, y, width, height = (float(field) for field in fields[2:6])
        if not (np.isfinite([x, y]).all() and 0 < width < np.inf and 0 < height < np.inf):
            raise ValueError
    except ValueError:
        raise LabelError(
            f"{where}: expected `person\\video\\frame.jpg, -, x, y, width, height, -, -`, "
            f"found {line!r}",
            "labels of another form",
        ) from None
    folder, name = ["", *re.split(r"[\\/]", fields[0])][-2:]
    return folder, name, (x - width / 2, y - height / 2, width, height)
