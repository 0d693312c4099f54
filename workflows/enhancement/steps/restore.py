"""The second step of the stage enhance: the faces of a span in, the same restored out."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from datasets.image_metrics import consistency
from infra import process
from infra.attempts import attempt
from infra.errors import RunError
from infra.nodes.counts import JobCounts
from model.network import Network
from model.streaming import Part, restore_parts
from workflows.enhancement.progress import Progress
from workflows.enhancement.spans import Model, Span, TrackPart, Verdict
from workflows.enhancement.steps.pieces import Piece, row_of, step
from workflows.shared.networks import load_known
from workflows.shared.ray_rows import Row
from workflows.shared.restoring import to_bytes
from workflows.shared.source_rows import why

STRETCH = 64  # faces at once: as images they take 0.2 MB each


class Restorer:
    """An actor of Ray Data: holds the networks and restores the span of each row."""

    def __init__(
        self,
        models: list[Model],
        blur_sigma: float | None,
        batch_size: int,
        device: str,
        counts: JobCounts,
        progress: Progress,
    ) -> None:
        process.limit_threads(1)
        self.models, self.blur_sigma = models, blur_sigma
        self.batch_size, self.device = batch_size, device
        self.counts, self.progress = counts, progress

    @cached_property
    def networks(self) -> dict[int, Network]:
        """By the side of their input. Not read when the actor starts: what goes wrong then, such as
        storage that is away, Ray would tell on pages."""
        return {model.low_size: self._load(model) for model in self.models}

    def _load(self, model: Model) -> Network:
        network, sha256 = load_known(model.uri)
        if sha256 != model.sha256:
            raise RunError(f"{model.uri}: was replaced since this command began; give it again")
        assert isinstance(network, Network)
        network = network.to(self.device)
        if self.device == "cuda":  # as cuDNN multiplies bf16 and TF32
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        yield from step(self._rows, block)

    def _rows(self, piece: Piece) -> list[Row]:
        if piece.span is None:
            return [row_of(piece)]
        begun, name = time.monotonic(), piece.source.name
        try:
            with attempt(self.counts.of(f"{name} span {piece.span.number}")):
                span = self.restored(name, piece.span)
        except Exception as error:  # whatever one film does to us, the others go on
            reason, kind = why(piece.source, error)
            return [row_of(replace(piece, span=None, verdict=Verdict(reason=reason, kind=kind)))]
        return [row_of(replace(piece, span=span, seconds={"restore": time.monotonic() - begun}))]

    def restored(self, film: str, span: Span) -> Span:
        """The span with every part restored."""
        share = span.frames / max(1, sum(len(part.low) for part in span.parts))
        if not span.parts:
            self.progress.add(film, span.frames)
        made: dict[int, TrackPart] = {}
        for side, network in self.networks.items():
            fitting = [part for part in span.parts if part.low.shape[1] == side]
            stretches = (stretch for part in fitting for stretch in _stretches(part))
            images = restore_parts(network, stretches, self.batch_size)
            for part in fitting:
                restored = []
                for _ in range(0, len(part.low), STRETCH):
                    restored.append(to_bytes(next(images).cpu()))
                    self.progress.add(film, share * len(restored[-1]))
                made[part.track] = self._made(part, np.concatenate(restored))
        return replace(span, parts=[made[part.track] for part in span.parts])

    def _made(self, part: TrackPart, restored: NDArray[np.uint8]) -> TrackPart:
        """The part with its restored frames, which need no frames around them any more."""
        scale = restored.shape[1] // part.low.shape[1]
        agreeing = [
            consistency(face, low, scale, self.blur_sigma)
            for face, low in zip(restored, part.low, strict=True)
        ]
        return replace(
            part, restored=restored, consistency=np.array(agreeing, np.float32),
            before=part.before[:0], after=part.after[:0],
        )  # fmt: skip


def _stretches(part: TrackPart) -> Iterator[Part]:
    """The part as the network takes it, each time with all frames that are there around."""
    low = torch.from_numpy(np.concatenate([part.before, part.low, part.after]))
    first = len(part.before)
    for start in range(0, len(part.low), STRETCH):
        count = min(STRETCH, len(part.low) - start)
        before = first + start
        # Where fewer frames are there than a window reaches, the track has no more (locate.py).
        yield Part(low, before, len(low) - before - count, at_start=True, at_end=True)
