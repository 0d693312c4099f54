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

    def notes(self, what: str, *parts: TrackPart) -> dict[str, str]:
        """Metadata of a file: its title, and that faces in it are restored, and by what."""
        used = {part.low.shape[1]: None for part in parts} or self.models
        by = ", ".join(
            f"{self.models[side].variant} ×{self.models[side].scale}, weights SHA-256 "
            f"{self.models[side].sha256}" for side in used
        )  # fmt: skip
        return {"title": f"{self.film.source.name}: {what}", "comment": f"{INVENTED} By {by}."}
