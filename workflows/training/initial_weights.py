"""Weights that a training starts from: those of another one, as far as name and shape agree."""

from collections import Counter
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from infra import storage
from infra.errors import SettingsError
from model.weights import load_weights, start_from

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


def _shape(state: Mapping[str, Tensor]) -> str:
    name = next(iter(state), None)
    return "nothing" if name is None else f"{name} {tuple(state[name].shape)}"


def _parts(names: list[str] | set[str]) -> str:
    """`central 10, reconstruction 15`: tensors a part of the network; `nothing` without any."""
    counts = Counter(name.partition(".")[0] for name in sorted(names))
    return ", ".join(f"{part} {count}" for part, count in counts.items()) or "nothing"
