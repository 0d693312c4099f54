"""Which outputs a film gets."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.extraction import Limits
from workflows.enhancement.outputs.best_frame import BestFrames
from workflows.enhancement.outputs.film import FilmOutput
from workflows.enhancement.outputs.frames_table import FramesTable
from workflows.enhancement.outputs.output import Output, Place
from workflows.enhancement.outputs.pictures import Pictures
from workflows.enhancement.outputs.track_rows import TrackRows
from workflows.enhancement.outputs.track_videos import faces, side_by_side


@dataclass(frozen=True)
class Chosen:
    """The `kinds` of outputs that are asked for (enhance.outputs); of `film` how much it is
    enlarged, whether faces are marked, and the limits within which the source is read again."""

    kinds: tuple[str, ...]
    film_scale: float
    mark: bool
    limits: Limits

    def of(self, place: Place) -> list[Output]:
        """Those of one film, and the rows of its tracks before all."""
        makers: dict[str, Callable[[Place], Output]] = {
            "faces": faces,
            "png": Pictures,
            "side_by_side": side_by_side,
            "film": self._film,
            "frames": FramesTable,
            "gallery": BestFrames,
        }
        return [TrackRows(place), *(makers[kind](place) for kind in self.kinds)]

    def _film(self, place: Place) -> FilmOutput:
        return FilmOutput(place, self.limits, self.film_scale, self.mark)
