"""What the stage enhance is measured against: one process, written as its user would at first.

PyAV decodes, on as many threads as it likes, and makes RGB; the project's own detector and tracker
find the faces, on the stage's stride, and `crop` cuts them out. Of each track the 2k+1 low frames
around every frame are stacked and go through the network's forward, 16 windows at once, on all
cores (on a GPU channels last); nothing is kept from one window to the next. What is restored is
encoded as the stage does, with PyAV's own choice of threads. Nothing is checked, measured or
written down, and a film that is cut off begins anew.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from numpy.typing import NDArray

from datasets.degrade import degrade
from datasets.sources.footage import Footage
from datasets.sources.layouts import Source
from datasets.tracking.camera import Placed
from datasets.tracking.crops import crop, face_tracks
from model.network import Network
from model.pixels import to_pixels
from model.streaming import reach
from workflows.benchmarks.enhancing.apart import Job, Taken
from workflows.enhancement.outputs.track_videos import CRF
from workflows.enhancement.steps.locate import Wanted
from workflows.shared.networks import load_frozen
from workflows.shared.restoring import to_bytes
from workflows.shared.source_rows import face_detector

BATCH = 16  # windows
Faces = NDArray[np.uint8]  # N×h×h×3 of a track


def plain(job: Job) -> Taken:
    """Write an mp4 of each track of the films of a job, to nowhere."""
    with TemporaryDirectory() as folder:
        network, count = _network(job.model.uri, job.device), 0
        clock, busy = time.perf_counter(), time.process_time()
        for number, film in enumerate(job.films):
            rate, tracks = _found(film, job.wanted)
            for track, low in tracks.items():
                path = Path(folder) / f"{number:05d}-{track:03d}.mp4"
                _encode(path, _restored(network, low), rate, network.size)
                count += len(low)
        return Taken(time.perf_counter() - clock, time.process_time() - busy, count)


def plain_faces(job: Job) -> list[Faces]:
    """The restored faces N×S×S×3 of each track of the films of a job, as `plain` encodes them."""
    network = _network(job.model.uri, job.device)
    tracks = [low for film in job.films for _, low in sorted(_found(film, job.wanted)[1].items())]
    return [np.concatenate(list(_restored(network, low))) for low in tracks]


@lru_cache(maxsize=1)
def _network(uri: str, device: str) -> Network:
    network = load_frozen(uri).to(device)
    assert isinstance(network, Network)
    if device == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _found(film: Source, wanted: Wanted) -> tuple[Fraction, dict[int, Faces]]:
    """The rate of a film [frames/s], and what the network sees of the faces of each track."""
    tracks: dict[int, list[Faces]] = defaultdict(list)
    detection = replace(wanted.detection, shake=0.0)
    with av.open(film.uri.removeprefix("file://")) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or 25)

        def frames() -> Iterator[Faces]:
            for frame in container.decode(stream):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)

        footage = Footage(film.name, rate, stream.width, stream.height, frames)
        for placed in face_tracks(
            footage, face_detector(detection), detection, wanted.geometry.low_size,
            inputs=wanted.inputs,
        ):  # fmt: skip
            tracks[placed.face.track].append(_low(placed, wanted))
    return rate, {track: np.stack(low) for track, low in tracks.items()}


def _low(placed: Placed, wanted: Wanted) -> Faces:
    if placed.native:
        return crop(placed.face.image, placed.box, placed.native)
    high = crop(placed.face.image, placed.box, wanted.geometry.size)
    return degrade(high, wanted.geometry.scale, wanted.degradation.blur_sigma)


@torch.inference_mode()
def _restored(network: Network, low: Faces) -> Iterator[Faces]:
    """The faces N×h×h×3 of a track, restored: some n×S×S×3 at a time."""
    device = next(network.parameters()).device
    pixels = to_pixels(torch.from_numpy(low), device)
    around = torch.arange(-reach(network), reach(network) + 1, network.frame_step, device=device)
    for centres in torch.arange(len(low), device=device).split(BATCH):
        windows = pixels[(centres[:, None] + around).clamp(0, len(low) - 1)]
        yield to_bytes(network(windows).cpu())


def _encode(path: Path, batches: Iterable[Faces], rate: Fraction, side: int) -> None:
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=rate, options={"crf": str(CRF)})
        film.pix_fmt, film.height, film.width = "yuv420p", side, side
        for picture in chain.from_iterable(batches):
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(film.encode(None))
