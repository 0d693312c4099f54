"""Clips of a source by few words: what a test does not say is as small tests want it."""

from collections.abc import Iterator
from typing import Any

from datasets.clips.clip import Clip
from datasets.clips.cutting import clips_of
from datasets.clips.windows import Account
from datasets.sources.layouts import Source
from datasets.tracking.detectors import Detector
from infra.extraction import Cutting, Degradation, Detection, Geometry, Limits

GEOMETRY = {"size": 32, "scale": 4, "num_frames": 25}
DETECTION = {"min_face": 20}
DEGRADATION = {"kind": "paper", "blur_sigma": 2.4}
CUTTING = {"clip_stride": 12, "flow": False}


def cut(
    source: Source,
    detect: Detector | None,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    account: Account | None = None,
    **options: Any,
) -> Iterator[Clip]:
    """The clips of `source`; `options` are fields of the four values that cutting takes."""

    def made(kind: Any, usual: dict[str, Any]) -> Any:
        said = {name: options.pop(name) for name in kind.__dataclass_fields__ & options.keys()}
        return kind(**{**usual, **said})

    values = (
        made(Geometry, GEOMETRY), made(Detection, DETECTION), made(Degradation, DEGRADATION),
        made(Cutting, CUTTING),
    )  # fmt: skip
    assert not options, f"no such option: {options}"
    return clips_of(source, detect, *values, seed=seed, limits=limits, account=account)
