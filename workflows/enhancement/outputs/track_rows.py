"""The rows of a film's tracks in the manifest, gathered span by span."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.video_writer import are_regular
from workflows.enhancement.outputs.output import Output, Place
from workflows.enhancement.spans import Span, TrackPart


@dataclass
class _Track:
    """What is told of a track: by its first `part`, without pixels, and figures of all frames."""

    part: TrackPart
    low_size: int
    figures: dict[str, list[NDArray[np.floating]]] = field(default_factory=dict)

    def add(self, part: TrackPart) -> None:
        """Take the next part."""
        for name, values in (
            ("times", part.times), ("crops", part.crops[:, 2]), ("faces", part.faces[:, 2]),
            ("scores", part.scores), ("sharpness", part.sharpness),
            ("consistency", part.consistency),
        ):  # fmt: skip
            self.figures.setdefault(name, []).append(values)

    def all(self, name: str) -> NDArray[np.float64]:
        """A figure of every frame."""
        return np.concatenate(self.figures[name]).astype(np.float64)

    def median(self, name: str) -> float | None:
        """That of what is told of its frames, None where nothing is."""
        values = self.all(name)
        known = values[~np.isnan(values)]
        return float(np.median(known)) if len(known) else None


class TrackRows(Output):
    """The rows, `of_tracks`; no file is written. Of a track that goes on some 50 bytes a frame are
    held, of one that has ended its row."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._tracks: dict[int, _Track] = {}

    def add(self, span: Span) -> None:
        for part in span.parts:
            if part.track not in self._tracks:
                self._tracks[part.track] = _Track(_without_pixels(part), part.low.shape[1])
            self._tracks[part.track].add(part)
            if part.ends:
                self.of_tracks[part.track] = self._row(self._tracks.pop(part.track))

    def _row(self, track: _Track) -> dict[str, Any]:
        film, part, times = self.place.film, track.part, track.all("times").tolist()
        low_size = track.low_size
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


def _without_pixels(part: TrackPart) -> TrackPart:
    """The part, so that a film of thousands of tracks does not hold their pictures."""
    none = np.zeros((0, 0, 0, 3), np.uint8)
    return replace(part, low=none, restored=none, before=none, after=none)
