"""How a source becomes clips by the settings of a run, and the row that says what became of it."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from datasets.clips import Account, Clip, clips_of
from datasets.faces import Detector, build_detector
from datasets.layouts import Source
from infra import storage
from infra.settings import Settings

Row = dict[str, Any]


def clips_by(settings: Settings, source: Source, account: Account) -> Iterator[Clip]:
    """The clips of a source by the settings; `account` is filled on the way."""
    options, clip = settings.preprocess, settings.clip
    detect = None
    if options.faces == "detect":
        detect = face_detector(options.detector_model, options.min_face)
    return clips_of(
        source, detect, seed=settings.seed, size=clip.size, scale=clip.scale,
        blur_sigma=clip.blur_sigma, num_frames=clip.num_frames, clip_stride=options.clip_stride,
        context=options.context, stride=options.detection_stride, min_face=options.min_face,
        centre=options.centre, bursts=options.bursts, max_pixels=options.max_pixels,
        account=account,
    )  # fmt: skip


@lru_cache(maxsize=4)
def face_detector(model: str | None, min_face: int) -> Detector:
    """A detector a process and setting; a model in object storage is fetched once."""
    if model is None:
        return build_detector(None, min_face)
    with storage.local_file(model) as path:
        return build_detector(str(path), min_face)


def outcome_of(source: Source, account: Account, part: str, reason: str) -> Row:
    """What became of a source whose clips, if any, are in the file `part`."""
    return {
        "name": source.name,
        "uri": source.uri,
        "identity": source.identity,
        "part": part if account.clips else "",
        "clips": account.clips,
        "frames": account.frames,
        "tracks": account.tracks,
        "rejected": dict(account.rejected),
        "reason": " ".join(reason.split()),
    }
