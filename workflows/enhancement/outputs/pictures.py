"""The output `png`: each restored face as a file of its own, without loss."""

from types import TracebackType
from typing import Any, Self

from infra import storage
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.spans import Span
from workflows.shared.pictures import png


class Pictures:
    """`track_NNN/FFFFFF.png`, F the number of the frame in the film."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.of_film: dict[str, Any] = {}
        self.of_tracks: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def add(self, span: Span) -> None:
        for part in span.parts:
            folder = f"track_{part.track:03d}"
            self.of_tracks[part.track] = {"pictures": folder}
            for index, face in enumerate(part.restored, part.first):
                storage.write_bytes(self.place.uri(f"{folder}/{index:06d}.png"), png(face))
