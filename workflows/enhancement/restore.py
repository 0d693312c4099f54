"""What one actor of the stage enhance does: a source in, a video of each restored face out."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.clips.windows import NO_FACE
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.video_writer import are_regular, write_video
from infra import outages, process, storage
from infra.attempts import SUFFIX, FileCounter, attempt, stop_clock
from infra.extraction import Detection
from infra.runs import Run
from infra.settings.settings import Settings
from infra.text import as_utf8, commonest, one_line, sha256_of, tallied
from model.network import Network
from model.streaming import restore
from workflows.enhancement.locate import TOO_LARGE, Track, low_tracks
from workflows.enhancement.receipts import OUTCOME, Restored, safe_name
from workflows.shared.artifacts import WEIGHTS
from workflows.shared.networks import load_frozen
from workflows.shared.ray_rows import Row, until_fault
from workflows.shared.restoring import to_bytes
from workflows.shared.source_rows import sources_of, why
from workflows.shared.source_survey import fingerprint

CRF = 14
LARGE_REMEDY = (
    "enhance.large says what becomes of faces that are larger than the network's input: degrade, "
    "or nearest-model with enhance.models"
)


class Loaded(NamedTuple):
    """A network that restores, what its weights' header says of it, and their SHA-256."""

    network: nn.Module
    variant: str
    scale: int
    low_size: int
    weights: str


class Enhancer:
    """One actor: holds the network, takes sources, writes their tracks, returns the outcomes."""

    def __init__(
        self, settings: Settings, run: Run, detection: Detection, folder: str, of_stage: str
    ) -> None:
        process.limit_threads(1)
        self.settings = settings
        self.run = run
        self.detection = detection
        self.folder = folder
        self.of_stage = of_stage
        self.device = "cuda" if settings.enhance.gpus_per_worker else "cpu"

    @cached_property
    def loaded(self) -> dict[int, Loaded]:
        """The networks by the side of their input. Not read when the actor starts: what goes wrong
        then, such as storage that is away, Ray would tell on pages."""
        options = self.settings.enhance
        own = self.run.path("train", options.variant, WEIGHTS)
        more = options.models if options.large == "nearest-model" else []
        return {network.low_size: network for uri in (*more, own) for network in [self._load(uri)]}

    def _load(self, uri: str) -> Loaded:
        network = load_frozen(uri).to(self.device)
        assert isinstance(network, Network)
        if self.device == "cuda":  # as cuDNN multiplies bf16 and TF32
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        digest = sha256_of(storage.read_bytes(uri))
        low_size = network.size // network.scale
        return Loaded(network, network.variant, network.scale, low_size, digest)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        """Restore each source of a block; whatever is wrong with one becomes its outcome's reason.

        Outcomes are given as text: rows of a table would have to agree on the tracks.
        """
        return until_fault(self._outcome, block)

    def _outcome(self, row: Row) -> Row:
        assert self.loaded  # before the first film, which is not to blame
        (source,) = sources_of(row)
        record = storage.join(self.folder, safe_name(source), OUTCOME)
        # It is there where an actor died behind it, at another source of its block.
        found = storage.read_json(record) if storage.exists(record) else {}
        if found.get("fingerprint") != fingerprint(self.of_stage, source):
            found = asdict(self._attempted(source, record))
            storage.write_json(record, found)
        return {"outcome": json.dumps(found)}

    def _attempted(self, source: Source, record: str) -> Restored:
        tracks: list[Row] = []
        rejected: Counter[str] = Counter()
        treated: Counter[str] = Counter()
        reason = kind = ""
        # A film that is slow but not stuck ends itself within half of it, and says so.
        seconds = 2 * self.settings.preprocess.time_limit
        try:
            with outages.reporting(), attempt(FileCounter(record + SUFFIX), seconds):
                tracks = self._restore(source, rejected, treated)
            if not tracks:
                reason, kind = _why_none(source, rejected)
        except Exception as error:  # whatever one input does to us, the others go on
            reason, kind = why(source, error)
        return Restored(
            as_utf8(source.name),
            fingerprint(self.of_stage, source),
            tracks,
            dict(rejected),
            dict(treated),
            kind,
            as_utf8(one_line(reason)),
        )

    def _restore(self, source: Source, rejected: Counter[str], treated: Counter[str]) -> list[Row]:
        clip, options = self.settings.clip, self.settings.enhance
        limits = replace(self.settings.preprocess.limits(), damage=options.damage)
        with open_source(source, limits) as footage:
            told = {
                "fps": f"{footage.rate.numerator}/{footage.rate.denominator}",
                "pixel_aspect": footage.pixel_aspect,
            }
            tracks = low_tracks(
                footage, clip.geometry(), self.detection, clip.how_degraded(), list(self.loaded),
                options.for_large() == "degrade", rejected,
            )  # fmt: skip
            treated.update(footage.counts)
        stop_clock()  # it is for decoders that hang: a long film may take longer to restore
        return [
            told | self._write(source, number, track, footage.rate)
            for number, track in sorted(tracks.items())
        ]

    def _write(self, source: Source, number: int, track: Track, rate: Fraction) -> Row:
        output = storage.join(self.folder, safe_name(source), f"track_{number:03d}.mp4")
        batch_size, by = self.settings.enhance.batch_size, self.loaded[track.low_size]
        restored = restore(by.network, self._tensors(track.low), batch_size=batch_size)
        pictures = (to_bytes(image.cpu().unsqueeze(0))[0] for image in restored)
        # The driver holds the rows of all films: an hour's times would be 3 MB of them.
        times = [] if are_regular(track.times, rate) else track.times
        count = write_video(output, pictures, rate, CRF, times=times)
        if count != len(track.low):
            raise RuntimeError(f"{count} frames written, {len(track.low)} read")
        return {
            "video": source.name,
            "identity": source.identity,
            "track": number,
            "first_frame": track.first,
            "frames": count,
            "start": track.times[0],
            "times": times,
            "break_before": track.break_before,
            "crop_side": float(np.median(track.sides)),
            "resized": track.low_size / float(np.median(track.sides)),
            "input": "native" if track.native else "degraded",
            "variant": by.variant,
            "scale": by.scale,
            "weights": by.weights,
            "output": output.removeprefix(self.run.uri).strip("/"),
        }

    def _tensors(self, low: list[NDArray[np.uint8]]) -> Iterator[Tensor]:
        for frame in low:
            pixels = torch.from_numpy(frame).to(self.device).permute(2, 0, 1)
            yield pixels.float() / 255


def _why_none(source: Source, rejected: Counter[str]) -> tuple[str, str]:
    """Why a film gives no track: in a sentence, and in words that are the same for every film."""
    if not rejected:
        return f"{source.name}: no face was found", NO_FACE
    remedy = f"; {LARGE_REMEDY}" if any(why.startswith(TOO_LARGE) for why in rejected) else ""
    return f"{source.name}: no track is restored: {tallied(rejected)}{remedy}", commonest(rejected)
