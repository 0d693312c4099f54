"""Who of a film's faces may be called by the name of the film's person, and who is somebody else.

A film stands for one person. Two faces that are seen in one frame are two people, so only one of
them is this person: the larger and longer seen one. A face that is seen at no time beside a person
is taken for the same person, found again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datasets.tracking.camera import Placed


@dataclass
class Span:
    """The frames of a track from `first` to `last`, and the sum of their squared sides: the pixels
    of the face in the film."""

    first: int
    last: int
    pixels: float = 0.0


def spanned(faces: Iterable[Placed], spans: dict[int, Span]) -> Iterator[Placed]:
    """Passes `faces` on, and keeps in `spans` where each track lies."""
    for placed in faces:
        face = placed.face
        span = spans.setdefault(face.track, Span(face.index, face.index))
        span.last = face.index
        span.pixels += face.box[2] ** 2
        yield placed


def others(spans: dict[int, Span]) -> dict[int, int]:
    """The tracks of other people than the film's, each with the number of its person, from 1."""
    people: list[list[Span]] = []
    found = {}
    for track, span in sorted(spans.items(), key=lambda item: (-item[1].pixels, item[0])):
        number = next((i for i, seen in enumerate(people) if not _beside(span, seen)), len(people))
        if number == len(people):
            people.append([])
        people[number].append(span)
        if number:
            found[track] = number
    return dict(sorted(found.items()))


def _beside(span: Span, seen: Iterable[Span]) -> bool:
    return any(span.first <= other.last and other.first <= span.last for other in seen)
