"""What the kinds of outputs have in common."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from infra import storage
from workflows.enhancement.models import Model
from workflows.enhancement.spans import Film, Span, TrackPart

INVENTED = "Restored face: the estimate of a network from a few small frames, not a recording."


class Output(Protocol):
    """One kind of output of one film, as a context manager around all its spans.

    `add` takes the spans in order, every one. What is written appears, whole, when the block ends,
    or when a track does; of what is not whole nothing appears.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def add(self, span: Span) -> None: ...
    @property
    def of_film(self) -> dict[str, Any]:
        """What the manifest tells of the film, when the block has ended."""
        ...

    @property
    def of_tracks(self) -> dict[int, dict[str, Any]]:
        """What the manifest tells of each track, by its number, when the block has ended."""
        ...


@dataclass(frozen=True)
class Place:
    """Where the outputs of a `film` go: its own `folder`, a URI; and the networks, by the side of
    their input."""

    film: Film
    folder: str
    models: dict[int, Model]

    def uri(self, name: str) -> str:
        """The URI of a file."""
        return storage.join(self.folder, name)

    def made_by(self, side: int) -> str:
        """What restores faces whose input is `side` pixels wide, in words."""
        model = self.models[side]
        return f"{model.variant} ×{model.scale}, weights SHA-256 {model.sha256}"

    def notes(self, what: str, part: TrackPart) -> dict[str, str]:
        """Metadata of the file of a track: its title, and that it is restored, and by what."""
        title = f"{self.film.source.name}: {what}, track {part.track}"
        return {"title": title, "comment": f"{INVENTED} {self.made_by(part.low.shape[1])}"}
