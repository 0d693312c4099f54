"""What the kinds of outputs have in common."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from infra import storage
from workflows.enhancement.spans import Film, Model, Span, TrackPart

INVENTED = "Restored face: the estimate of a network from a few small frames, not a recording."


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

    def notes(self, what: str, part: TrackPart) -> dict[str, str]:
        """Metadata of the file of a track: its title, and that it is restored, and by what."""
        title = f"{self.film.source.name}: {what}, track {part.track}"
        return {"title": title, "comment": f"{INVENTED} {self.models[part.low.shape[1]]}"}


class Output(ABC):
    """One kind of output of one film, as a context manager around all its spans.

    `add` takes the spans in order, every one. What is written appears, whole, when the block ends,
    or when a track does; of what is not whole nothing appears. What is open until the end is on the
    `stack`. Then `of_film` and, by the number of a track, `of_tracks` are what the manifest tells.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.stack = ExitStack()
        self.of_film: dict[str, Any] = {}
        self.of_tracks: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        with self.stack:
            self.begin()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stack.__exit__(kind, error, trace)
            return
        with self.stack:
            self.finish()

    def begin(self) -> None:  # noqa: B027
        """Open what is open for the whole film, if anything."""

    @abstractmethod
    def add(self, span: Span) -> None:
        """Take the next span."""

    def finish(self) -> None:  # noqa: B027
        """Write what is known when all spans are there, if anything."""
