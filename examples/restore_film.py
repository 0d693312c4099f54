"""Restores the face of a film that is seen longest, with facestack as a library.

    python examples/restore_film.py FILM WEIGHTS OUT.mp4 [YUNET.onnx]

Faces are found by OpenCV's cascade, or by YuNet where its model is given.
"""

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.tracking.crops import crop, face_tracks
from datasets.tracking.detectors import build_detector
from datasets.video_writer import write_video
from infra.extraction import Detection
from model.network import Network
from model.pixels import to_pixels
from model.streaming import restore
from model.weights import load_network


def restore_film(film: Path, weights: str, out: str, detector: str | None = None) -> int:
    """Write an mp4 of the restored face; returns its frames."""
    network = load_network(weights)
    assert isinstance(network, Network)
    side = network.size // network.scale  # of what the network sees
    how = Detection("detect", detector, min_face=12)
    tracks = defaultdict(list)
    with open_source(Source(film.absolute().as_uri(), film.name, "", "video")) as footage:
        for placed in face_tracks(footage, build_detector(detector), how, side, inputs=(side,)):
            tracks[placed.face.track].append(crop(placed.face.image, placed.box, side))
    if not tracks:
        sys.exit(f"{film}: no face was found")
    low = np.stack(max(tracks.values(), key=len))  # N×h×h×3
    high = restore(network, to_pixels(torch.from_numpy(low), torch.device("cpu")))  # N×3×S×S
    pictures = (high * 255).round().byte().movedim(1, -1).numpy()
    return write_video(out, pictures, footage.rate, crf=14)


if __name__ == "__main__":
    frames = restore_film(Path(sys.argv[1]), *sys.argv[2:5])
    print(f"{sys.argv[3]}: {frames} frames")
