"""The output `png`: each restored face as a file of its own, without loss."""

from infra import storage
from workflows.enhancement.outputs.output import Output
from workflows.enhancement.spans import Span
from workflows.shared.pictures import png


class Pictures(Output):
    """`track_NNN/FFFFFF.png`, F the number of the frame in the film."""

    def add(self, span: Span) -> None:
        for part in span.parts:
            folder = f"track_{part.track:03d}"
            self.of_tracks[part.track] = {"pictures": folder}
            for index, face in enumerate(part.restored, part.first):
                storage.write_bytes(self.place.uri(f"{folder}/{index:06d}.png"), png(face))
