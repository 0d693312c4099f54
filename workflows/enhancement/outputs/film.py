"""The film itself, enlarged, with the restored faces in their places."""

from dataclasses import replace

from datasets.film_writer import film_writer
from datasets.sources.footage import Footage
from datasets.sources.video import open_source
from infra.errors import InputError
from infra.extraction import Limits
from workflows.enhancement.outputs.output import Output, Place
from workflows.enhancement.outputs.pasting import Picture, enlarge, enlarged_size, mark, paste
from workflows.enhancement.spans import Span

NAME = "restored"
# In 40 % of the time of medium at 16, 0.1 to 0.4 dB below it at 46 to 54 dB, and 10 to 40 % larger.
CRF, PRESET = 15, "veryfast"
NOTICE = (
    "Faces in this film are restored by a neural network and are no recording: what they show may "
    "be invented"
)


class FilmOutput(Output):
    """Writes `restored.mp4` or `restored.mkv`: the film, decoded again within `limits`, `scale` ≥ 1
    times as large, its restored faces pasted back and all else of it kept.

    With `marked` a thin frame is drawn about every face that is restored. Memory does not grow with
    the film. Raises `DecodeError` and `InputError`, which tell as well of a film that gives another
    number of frames than the spans have.
    """

    def __init__(self, place: Place, limits: Limits, scale: float, marked: bool) -> None:
        super().__init__(place)
        self.film, self.marked = place.film, marked
        # The film was read within its limit of time; writing it may take longer.
        self.limits = replace(limits, time_limit=float("inf"))
        self.size = enlarged_size(self.film.width, self.film.height, scale)
        self.factors = self.size[0] / self.film.width, self.size[1] / self.film.height
        self.count = 0

    def begin(self) -> None:
        source, place = self.film.source, self.place
        footage = self.stack.enter_context(open_source(source, self.limits, exact=True))
        self._check_size(footage)
        self.frames = footage.frames()
        told = "; ".join(f"faces of {side} px: {model}" for side, model in place.models.items())
        self.writer = self.stack.enter_context(
            film_writer(
                place.uri(NAME), source, footage, self.limits, self.size, CRF, PRESET,
                f"{NOTICE} ({told})", self.of_film,
            )
        )  # fmt: skip

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

    def finish(self) -> None:
        """Reads to the end of the film, where damage is told that was not seen before."""
        if more := sum(1 for _ in self.frames):
            raise self._other_number(f"{self.count + more} frames, not {self.count}")

    def _restore(self, picture: Picture, span: Span, index: int) -> None:
        """Lays the faces of a frame into it; all of them before any mark, which they might hide."""
        faces = [
            (part, index - part.first)
            for part in span.parts
            if 0 <= index - part.first < len(part.crops)
        ]
        for part, n in faces:
            paste(picture, self.factors, part.crops[n], part.faces[n], part.restored[n])
        for part, n in faces if self.marked else []:
            mark(picture, self.factors, part.faces[n])

    def _check_size(self, footage: Footage) -> None:
        found, told = (footage.width, footage.height), (self.film.width, self.film.height)
        if found != told:
            raise InputError.at(
                self.film.source.name, "has changed",
                f": its frames are {found[0]}×{found[1]}, and were {told[0]}×{told[1]}; give the "
                "same command again",
            )  # fmt: skip

    def _other_number(self, said: str) -> InputError:
        return InputError.at(
            self.film.source.name, "gave another number of frames than before",
            f": {said}; if the file was replaced meanwhile, give the same command again",
        )  # fmt: skip
