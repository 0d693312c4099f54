"""Weights that a training starts from: those of another one, as far as name and shape agree, and
for a variant those of the pretrained P and of its linear counterpart.

The counterpart is fitted once, to training clips aligned by P, and kept beside the variant's
weights, where workers find it; it is also the row `linear` of every table.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from infra import storage
from infra.errors import RunError, SettingsError
from infra.runs import Run
from infra.settings.settings import Settings
from model.linear_fit import fit_linear
from model.network import Network, build
from model.pixels import centre_slice, to_pixels
from model.weights import load_weights, save_weights, start_from
from workflows.shared import artifacts
from workflows.shared.restoring import CPU, pictures, validation_clips

FITTED_TO = 160  # training clips; the filters of the linear restoration have 740 weights in all
Take = Callable[[nn.Module, Mapping[str, Tensor]], list[str]]


def check(field: str, uri: str | None) -> None:
    """Raise SettingsError, naming the field, where a file is named that is not there."""
    if uri is not None and not storage.exists(uri):
        raise SettingsError(f"{field}: {uri}: no such file")


def start(network: nn.Module, uri: str, field: str = "init", take: Take = start_from) -> str:
    """Put what fits of the weights at `uri` into the network; returns what was taken, and what not.

    Raises SettingsError, naming the field, where there is no such file or nothing of it fits.
    """
    check(field, uri)
    try:
        with storage.local_file(uri) as path:
            state, header = load_weights(path)
    except ValueError as error:
        raise SettingsError(f"{field}: {error}") from error
    taken = take(network, state)
    own = network.state_dict()
    if not taken:
        raise SettingsError(
            f"{field}: {uri}: nothing in it fits: it holds {_shape(state)}, "
            f"the network has {_shape(own)}; give weights of the same stage and clip settings"
        )
    anew = own.keys() - set(taken)
    source = f"{uri} ({header['variant']})" if "variant" in header else uri
    return f"from {source}: taken {_parts(taken)}; begun anew {_parts(anew)}"


def new_network(settings: Settings, run: Run, variant: str) -> Network:
    """A variant of the settings' sizes before training, with the run's pretrained P."""
    clip, options = settings.clip, settings.network
    start = "passthrough" if options.start == "linear" else options.start
    network = build(variant, clip.scale, clip.size, options.width, start, clip.frame_step)
    assert isinstance(network, Network)
    if network.predictor is not None:
        with storage.local_file(run.path("pretrain", artifacts.WEIGHTS)) as path:
            start_from(network.predictor, load_weights(path)[0])
    return network


def fitted_linear(settings: Settings, run: Run, variant: str, folder: str) -> str:
    """The URI of the linear counterpart of a variant in a folder, fitted now if it is not there."""
    uri = storage.join(folder, artifacts.LINEAR)
    if storage.exists(uri):
        return uri
    some = validation_clips(artifacts.shards(run, "train"), FITTED_TO, ("low", "high"))
    if some is None:
        raise RunError(f"{run.path('clips')}: no training clip to fit the linear restoration to")
    network = new_network(settings, run, variant)
    stored = centre_slice(torch.from_numpy(some["low"]), network.num_frames, network.frame_step)
    counterpart = fit_linear(network, to_pixels(stored, CPU), pictures(some["high"]))
    with tempfile.TemporaryDirectory() as place:
        save_weights(counterpart, Path(place) / artifacts.LINEAR)
        storage.upload(Path(place), folder)
    return uri


def _shape(state: Mapping[str, Tensor]) -> str:
    name = next(iter(state), None)
    return "nothing" if name is None else f"{name} {tuple(state[name].shape)}"


def _parts(names: list[str] | set[str]) -> str:
    """`central 10, reconstruction 15`: tensors a part of the network; `nothing` without any."""
    counts = Counter(name.partition(".")[0] for name in sorted(names))
    return ", ".join(f"{part} {count}" for part, count in counts.items()) or "nothing"
