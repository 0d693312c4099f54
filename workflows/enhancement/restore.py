"""What one actor of the stage enhance does: a source in, a video of each restored face out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.clips.windows import NO_FACE
from datasets.degrade import degrade
from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.tracking.crops import crop, face_tracks
from datasets.video_writer import write_video
from infra import outages, storage
from infra.attempts import SUFFIX, attempt
from infra.runs import Run
from infra.settings.settings import Settings
from infra.text import as_utf8, digest, one_line
from model.streaming import restore
from workflows.evaluation.methods import networks
from workflows.preprocessing.parts import face_detector, sources_of
from workflows.shared.ray_rows import Row, faults_as_rows
from workflows.shared.restoring import to_bytes
from workflows.shared.source_rows import why

# A crop of at most this many times the network's input side is taken as it is.
NATIVE = 1.5
CRF = 14


@dataclass
class Track:
    """The low-resolution frames h×w×3 of one face; 768 bytes a frame at 16×16."""

    first: int
    native: bool
    low: list[NDArray[np.uint8]] = field(default_factory=list)
    sides: list[float] = field(default_factory=list)


class Enhancer:
    """One actor: holds the network, takes a source, writes its tracks, returns the outcome."""

    def __init__(self, settings: Settings, run: Run, folder: str) -> None:
        torch.set_num_threads(1)
        self.settings = settings
        self.folder = folder
        variant = settings.enhance.variant
        weights = storage.read_bytes(run.path("train", variant, "weights.safetensors"))
        self.digest = hashlib.sha256(weights).hexdigest()
        self.device = "cuda" if settings.enhance.gpus_per_worker else "cpu"
        self.network: nn.Module = networks(run, [variant], settings.clip)[variant].to(self.device)
        if self.device == "cuda":  # as cuDNN multiplies bf16 and TF32
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, row: Row) -> Row:
        """Restore one source; whatever is wrong with it becomes its outcome's reason."""
        (source,) = sources_of(row)
        return faults_as_rows(self._outcome, source)

    def _outcome(self, source: Source) -> Row:
        record = storage.join(self.folder, safe_name(source), "outcome.json")
        if storage.exists(record):
            return dict(storage.read_json(record))
        tracks: list[Row] = []
        reason = kind = ""
        try:
            with outages.reporting(), attempt(record + SUFFIX):
                tracks = self._restore(source)
            if not tracks:
                reason, kind = f"{source.name}: no face was found", NO_FACE
        except Exception as error:  # whatever one input does to us, the others go on
            reason, kind = why(source, error)
        outcome = {
            "name": as_utf8(source.name),
            "uri": as_utf8(source.uri),
            "tracks": tracks,
            "kind": kind,
            "reason": as_utf8(one_line(reason)),
        }
        storage.write_json(record, outcome)
        return outcome

    def _restore(self, source: Source) -> list[Row]:
        with open_source(source, self.settings.preprocess.limits()) as footage:
            rate = footage.rate
            tracks = self._low_tracks(footage)
        return [
            self._write(source, number, track, rate) for number, track in sorted(tracks.items())
        ]

    def _low_tracks(self, footage: Footage) -> dict[int, Track]:
        """The source is read once, whole; only what the network sees is kept."""
        clip = self.settings.clip
        # As preprocess places them, but for the shake: a film is restored as it was filmed.
        detection = replace(self.settings.preprocess.detection(), shake=0.0)
        faces = face_tracks(
            footage, face_detector(detection), detection, clip.low_size, native=NATIVE
        )
        tracks: dict[int, Track] = {}
        for placed in faces:
            face = placed.face
            track = tracks.setdefault(face.track, Track(face.index, placed.native))
            if placed.native:
                low = crop(face.image, placed.box, clip.low_size)
            else:
                low = degrade(crop(face.image, placed.box, clip.size), clip.scale, clip.blur_sigma)
            track.low.append(low)
            track.sides.append(placed.box[2])
        return tracks

    def _write(self, source: Source, number: int, track: Track, rate: Fraction) -> Row:
        output = storage.join(self.folder, safe_name(source), f"track_{number:03d}.mp4")
        batch_size = self.settings.enhance.batch_size
        restored = restore(self.network, self._tensors(track.low), batch_size=batch_size)
        pictures = (to_bytes(image.cpu().unsqueeze(0))[0] for image in restored)
        count = write_video(output, pictures, rate, CRF)
        if count != len(track.low):
            raise RuntimeError(f"{count} frames written, {len(track.low)} read")
        return {
            "uri": source.uri,
            "video": source.name,
            "identity": source.identity,
            "track": number,
            "first_frame": track.first,
            "frames": count,
            "fps": f"{rate.numerator}/{rate.denominator}",
            "crop_side": float(np.median(track.sides)),
            "input": "native" if track.native else "degraded",
            "variant": self.settings.enhance.variant,
            "weights": self.digest,
            "output": output,
        }

    def _tensors(self, low: list[NDArray[np.uint8]]) -> Iterator[Tensor]:
        for frame in low:
            pixels = torch.from_numpy(frame).to(self.device).permute(2, 0, 1)
            yield pixels.float() / 255


def safe_name(source: Source) -> str:
    """The folder of a source's results: its name, made unique and safe for any file system."""
    plain = "".join(c if c.isalnum() or c in "-_./" else "_" for c in source.name)
    parts = (part for part in plain.split("/") if part not in ("", ".", ".."))
    # File systems take 255 bytes a part; what is added below and to files needs some of them.
    plain = "/".join(part.encode()[:200].decode(errors="ignore") for part in parts)
    if plain == source.name:
        return plain
    return f"{plain}-{digest(source.name).hex()[:8]}"
