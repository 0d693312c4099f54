"""The linear restoration that a variant's R starts from; the row `linear` of every table.

It is fitted once, to training clips aligned by the pretrained P, and kept beside the variant's
weights, where workers find it.
"""

import tempfile
from pathlib import Path

import torch

from infra import storage
from infra.errors import RunError
from infra.runs import Run
from infra.settings.settings import Settings
from model.linear_fit import fit_linear
from model.network import Network, build
from model.pixels import centre_slice, to_pixels
from model.weights import load_network, load_weights, save_weights, start_from
from workflows.shared import artifacts
from workflows.shared.restoring import CPU, pictures, validation_clips

FILE = "linear.safetensors"
CLIPS = 160  # training clips that it is fitted to; its filters have 740 weights in all


def new_network(settings: Settings, run: Run, variant: str) -> Network:
    """A variant of the settings' sizes before training, with the run's pretrained P."""
    clip, options = settings.clip, settings.network
    start = "passthrough" if options.start == "linear" else options.start
    network = build(variant, clip.scale, clip.size, options.width, start, clip.frame_step)
    assert isinstance(network, Network)
    if network.predictor is not None:
        with storage.local_file(run.path("pretrain", "weights.safetensors")) as path:
            start_from(network.predictor, load_weights(path)[0])
    return network


def fitted(settings: Settings, run: Run, variant: str, folder: str) -> str:
    """The URI of the linear counterpart of a variant in a folder, fitted now if it is not there."""
    uri = storage.join(folder, FILE)
    if storage.exists(uri):
        return uri
    some = validation_clips(artifacts.shards(run, "train"), CLIPS, ("low", "high"))
    if some is None:
        raise RunError(f"{run.path('clips')}: no training clip to fit the linear restoration to")
    network = new_network(settings, run, variant)
    stored = centre_slice(torch.from_numpy(some["low"]), network.num_frames, network.frame_step)
    counterpart = fit_linear(network, to_pixels(stored, CPU), pictures(some["high"]))
    with tempfile.TemporaryDirectory() as place:
        save_weights(counterpart, Path(place) / FILE)
        storage.upload(Path(place), folder)
    return uri


def load(uri: str) -> Network:
    """A fitted linear restoration, for inference; raises RunError where there is none."""
    if not storage.exists(uri):
        raise RunError(f"{uri}: no linear restoration; train this variant again with --force train")
    with storage.local_file(uri) as path:
        network = load_network(path)
    assert isinstance(network, Network)
    return network.requires_grad_(False)
