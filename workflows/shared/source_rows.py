"""What the tasks that read sources share: rows of Ray Data that name sources, the detector, and
what to make of an error in a source."""

import json
from dataclasses import asdict
from functools import lru_cache

from datasets.sources.footage import DecodeError
from datasets.sources.layouts import Source
from datasets.tracking.detectors import Detector, DetectorError, build_detector
from infra import storage
from infra.attempts import AttemptsError
from infra.errors import FacestackError, InputError, RunError
from infra.extraction import Detection
from infra.text import one_line
from workflows.shared.ray_rows import Row

STILLS = 64  # in one row: two files for each would drown an object store in requests


def bundles(sources: list[Source]) -> list[list[Source]]:
    """The sources that make a row together: many stills, or one of any other kind."""
    stills = [source for source in sources if source.kind == "image"]
    alone = [[source] for source in sources if source.kind != "image"]
    return alone + [stills[i : i + STILLS] for i in range(0, len(stills), STILLS)]


def item(bundle: list[Source]) -> Row:
    """The row of Ray Data of some sources; as text, since kinds of sources differ."""
    return {"sources": json.dumps([asdict(source) for source in bundle])}


def sources_of(row: Row) -> list[Source]:
    """The bundle of such a row."""
    return [Source(**each) for each in json.loads(row["sources"])]


def face_detector(detection: Detection) -> Detector | None:
    """What finds faces, None where each frame is a crop already."""
    return None if detection.faces == "aligned" else _built(detection.model)


@lru_cache(maxsize=4)
def _built(model: str | None) -> Detector:
    """A detector a process; a model in object storage is fetched once."""
    if model is None:
        return build_detector(None)
    try:
        with storage.local_file(model) as path:
            return build_detector(str(path))
    except (FileNotFoundError, DetectorError) as error:  # of the run, and no film is to blame
        raise RunError(f"{model}: the run's detector cannot be read ({one_line(error)})") from error


def why(source: Source, error: Exception) -> tuple[str, str]:
    """The reason for which a source gives nothing, and its kind; raises `error` again where the
    run folder is to blame and not the input."""
    if isinstance(error, FacestackError) and not isinstance(error, InputError):
        raise error
    if isinstance(error, DecodeError):
        return str(error), error.kind
    if isinstance(error, AttemptsError):
        return f"{source.name}: {error}", error.kind
    return f"{source.name}: {type(error).__name__}: {error}", type(error).__name__
