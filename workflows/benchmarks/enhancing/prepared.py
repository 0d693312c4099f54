"""What the ways of `benchmark.py enhance` work on: films, weights, and the stage's settings."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch

from datasets.video_writer import write_video
from infra import storage
from infra.errors import SettingsError
from infra.progress import say
from infra.runs import Run
from infra.settings import of_weights
from infra.settings.settings import Settings
from model.network import build
from model.weights import save_weights
from workflows.benchmarks.enhancing.apart import Job
from workflows.benchmarks.inputs import draw_videos, link_videos
from workflows.enhancement import models
from workflows.enhancement.steps.locate import Wanted
from workflows.shared.source_survey import find

# Films: all of them, the first one, and the beginning of that one, in which a face is just found.
ALL, ONE, START = "all", "one", "start"
START_FRAMES = 15
DRAWN_FRAMES = 50
# Smallest face [px] that is looked for in drawn films: the cascade sees smaller ones that are none.
DRAWN_FACE = 48


@dataclass(frozen=True)
class Prepared:
    """Films in folders of `folder`, what restores them, how many GPUs are at hand, and the smallest
    face [px] that is looked for; None: the stage's own choice."""

    folder: Path
    weights: str
    detector: str
    gpus: int
    min_face: int | None

    def settings(
        self, which: str, workers: int = 1, outputs: Sequence[str] = ("faces",)
    ) -> Settings:
        """The stage's settings; faces of any size are restored, larger ones made small first."""
        layers = of_weights.settings_of(self.weights, None)
        preprocess = {"faces": "detect", "detector": self.detector}
        enhance = {
            "weights": self.weights, "outputs": list(outputs), "large": "degrade",
            "workers": self.gpus or workers, "gpus_per_worker": min(self.gpus, 1),
        }  # fmt: skip
        if self.min_face is not None:
            enhance["min_face"] = self.min_face
        return Settings(
            source=str(self.folder / which),
            clip=layers["clip"],
            preprocess=layers["preprocess"] | preprocess,
            enhance=layers["enhance"] | enhance,
        )

    def job(self, which: str) -> Job:
        """The same for the ways without Ray."""
        settings = self.settings(which)
        clip, options = settings.clip, settings.enhance
        (model,) = models.loaded(settings, Run(str(self.folder)))
        detector = None if self.detector == "haar" else self.detector
        detection = options.detection(settings.preprocess, detector)
        inputs, how = (model.low_size,), clip.how_degraded()
        wanted = Wanted(clip.geometry(), detection, how, inputs, model.reach, degraded=True)
        device = "cuda" if self.gpus else "cpu"
        return Job(str(self.folder / which), wanted, model, clip.blur_sigma, device)


def prepare(chosen: argparse.Namespace, folder: Path) -> Prepared:
    """Lay out what is asked for below `folder`; raises SettingsError where it is not there."""
    films = _films(chosen, folder)
    for which, some in ((ALL, films), (ONE, films[:1]), (START, [_beginning(films[0], folder)])):
        link_videos(some, folder / which)
    detector = chosen.detector
    if detector != "haar":
        detector = storage.absolute(detector)
    weights = storage.absolute(chosen.weights) if chosen.weights else _untrained(folder)
    min_face = DRAWN_FACE if chosen.source is None else None
    return Prepared(folder, weights, detector, chosen.gpus, min_face)


def _films(chosen: argparse.Namespace, folder: Path) -> list[Path]:
    if chosen.source is None:
        say("enhance", f"drawing {chosen.films} films of {DRAWN_FRAMES} frames")
        return draw_videos(folder / "drawn", chosen.films, DRAWN_FRAMES)
    found = [source for source in find(str(chosen.source)).sources if source.kind == "video"]
    if not found:
        raise SettingsError(f"--source {chosen.source}: expected videos, found none")
    spread = np.linspace(0, len(found) - 1, min(chosen.films, len(found))).round().astype(int)
    return [Path(found[index].uri.removeprefix("file://")) for index in spread]


def _beginning(film: Path, folder: Path) -> Path:
    """A film of the first frames, without loss that would hide a face."""
    target = folder / "beginning.mp4"
    with av.open(str(film)) as container:
        frames = (
            frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            for frame in islice(container.decode(video=0), START_FRAMES)
        )
        write_video(target, frames, Fraction(25), crf=1)
    return target


def _untrained(folder: Path) -> str:
    """Weights of f5warp at the paper's size: its speed does not hang on what it has learned."""
    torch.manual_seed(0)
    path = folder / "untrained.safetensors"
    save_weights(build("f5warp", scale=8, size=128, start="kaiming"), path)
    return str(path)
