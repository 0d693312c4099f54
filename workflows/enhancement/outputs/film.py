"""The film itself, enlarged, with the restored faces in their places."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from datasets.film_writer import film_writer
from datasets.sources.footage import Footage
from datasets.sources.video import open_source
from infra import storage
from infra.errors import InputError
from infra.extraction import Limits
from workflows.enhancement.outputs.pasting import Picture, enlarge, enlarged_size, mark, paste
from workflows.enhancement.spans import Film, Span

NAME = "film"
NOTICE = (
    "Faces in this film are restored by a neural network and are no recording: what they show may "
    "be invented"
)


class FilmOutput:
    """Writes `film.mp4` or `film.mkv` into the `folder` (URI): the `film`, decoded again within
    `limits`, `scale` ≥ 1 times as large, its restored faces pasted back and all else of it kept.

    With `mark` a thin frame is drawn about every face that is restored. `made_by` names what
    restored them (variant, weights), for the film's comment. `crf` and `preset` are x264's. Memory
    does not grow with the film. Raises `DecodeError` and `InputError`, which tell as well of a film
    that gives another number of frames than the spans have.
    """

    def __init__(
        self,
        folder: str,
        film: Film,
        limits: Limits,
        made_by: Mapping[str, str],
        scale: float = 1.0,
        mark: bool = False,
        crf: int = 16,
        preset: str = "medium",
    ) -> None:
        self.folder, self.film = folder, film
        # The film was read within its limit of time; writing it may take longer.
        self.limits = replace(limits, time_limit=float("inf"))
        self.made_by, self.mark, self.crf, self.preset = made_by, mark, crf, preset
        self.size = enlarged_size(film.width, film.height, scale)
        self.factors = self.size[0] / film.width, self.size[1] / film.height
        self.count = 0
        self._written: dict[str, Any] = {}
        self.of_tracks: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        source = self.film.source
        with ExitStack() as stack:
            footage = stack.enter_context(open_source(source, self.limits, exact=True))
            self._check_size(footage)
            self.frames = footage.frames()
            told = "; ".join(f"{name}: {value}" for name, value in self.made_by.items())
            self.writer = stack.enter_context(
                film_writer(
                    storage.join(self.folder, NAME), source, footage, self.limits, self.size,
                    self.crf, self.preset, f"{NOTICE} ({told})", self._written,
                )
            )  # fmt: skip
            stack.push(self._check_end)
            self.stack = stack.pop_all()
        return self

    def add(self, span: Span) -> None:
        """Decodes the frames of the next span, pastes its faces into them, encodes them."""
        for index in range(span.first, span.first + span.frames):
            frame = next(self.frames, None)
            if frame is None:
                raise self._other_number(f"{self.count} frames, not {index + 1} or more")
            self.count += 1
            picture = enlarge(frame, self.size)
            self._restore(picture, span, index)
            self.writer.add(picture)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.__exit__(kind, error, trace)

    @property
    def of_film(self) -> dict[str, Any]:
        """The file's name (`film`), and what of the source is not in it (`left_out_streams`,
        `left_out_tags`)."""
        return self._written

    def _restore(self, picture: Picture, span: Span, index: int) -> None:
        """Lays the faces of a frame into it; all of them before any mark, which they might hide."""
        faces = [
            (part, index - part.first)
            for part in span.parts
            if 0 <= index - part.first < len(part.crops)
        ]
        for part, n in faces:
            paste(picture, self.factors, part.crops[n], part.faces[n], part.restored[n])
        for part, n in faces if self.mark else []:
            mark(picture, self.factors, part.faces[n])

    def _check_size(self, footage: Footage) -> None:
        found, told = (footage.width, footage.height), (self.film.width, self.film.height)
        if found != told:
            raise InputError.at(
                self.film.source.name, "has changed",
                f": its frames are {found[0]}×{found[1]}, and were {told[0]}×{told[1]}; give the "
                "same command again",
            )  # fmt: skip

    def _check_end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Reads to the end of the film, where damage is told that was not seen before."""
        if kind is None and (more := sum(1 for _ in self.frames)):
            raise self._other_number(f"{self.count + more} frames, not {self.count}")

    def _other_number(self, said: str) -> InputError:
        return InputError.at(
            self.film.source.name, "gave another number of frames than before",
            f": {said}; if the file was replaced meanwhile, give the same command again",
        )  # fmt: skip
