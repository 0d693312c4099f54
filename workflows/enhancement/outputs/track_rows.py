"""The rows of a film's tracks in the manifest, gathered span by span."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets.video_writer import are_regular
from workflows.enhancement.outputs.output import Output, Place
from workflows.enhancement.spans import Span, TrackPart

Figures = dict[str, list[float]]


@dataclass
class _Track:
    """What is told of a track: by its first `part`, and by figures of all its frames."""

    part: TrackPart
    figures: Figures = field(default_factory=dict)

    def add(self, part: TrackPart) -> None:
        """Take the next part."""
        for name, values in (
            ("times", part.times), ("crops", part.crops[:, 2]), ("faces", part.faces[:, 2]),
            ("scores", part.scores), ("sharpness", part.sharpness),
            ("consistency", part.consistency),
        ):  # fmt: skip
            self.figures.setdefault(name, []).extend(values.tolist())

    def median(self, name: str) -> float | None:
        """That of what is told of its frames, None where nothing is."""
        known = [value for value in self.figures[name] if not np.isnan(value)]
        return float(np.median(known)) if known else None


class TrackRows(Output):
    """The rows, `of_tracks`; no file is written."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._tracks: dict[int, _Track] = {}

    def add(self, span: Span) -> None:
        for part in span.parts:
            self._tracks.setdefault(part.track, _Track(part)).add(part)

    def finish(self) -> None:
        self.of_tracks = {n: self._row(track) for n, track in sorted(self._tracks.items())}

    def _row(self, track: _Track) -> dict[str, Any]:
        film, part, times = self.place.film, track.part, track.figures["times"]
        low_size = part.low.shape[1]
        model, side = self.place.models[low_size], track.median("crops")
        assert side is not None
        return {
            "video": film.source.name,
            "identity": film.source.identity,
            "track": part.track,
            "first_frame": part.first,
            "frames": len(times),
            "fps": f"{film.rate.numerator}/{film.rate.denominator}",
            "start": times[0],
            "seconds": times[-1] - times[0] + float(1 / film.rate),
            # The driver holds the rows of all films: an hour's times would be 3 MB of them.
            "times": [] if are_regular(times, film.rate) else times,
            "break_before": part.break_before,
            "pixel_aspect": film.pixel_aspect,
            "crop_side": side,
            "face_side": track.median("faces"),
            "input": "native" if part.native else "degraded",
            "resized": low_size / side,
            "score": track.median("scores"),
            "sharpness": track.median("sharpness"),
            "consistency": track.median("consistency"),
            "variant": model.variant,
            "scale": model.scale,
            "weights": model.sha256,
        }
