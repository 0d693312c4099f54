"""Weights on disk: safetensors with what building the module again needs, written atomically."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from infra.whole_file import whole_file
from model.network import build

FORMAT = "1"
FIRST_LAYER = "reconstruction.layers.0.weight"


def save_weights(
    module: nn.Module, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's state as float32 safetensors: whole or not at all.

    The header holds `metadata`, the format and, when the module has a `description()`, what `build`
    needs to make it again.
    """
    describe = getattr(module, "description", dict)
    header = {**describe(), **(metadata or {}), "facestack": FORMAT}
    state = {
        name: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in module.state_dict().items()
    }
    write_state(state, path, header)


def write_state(
    state: Mapping[str, Tensor], path: str | os.PathLike[str], header: Mapping[str, str]
) -> None:
    """Write tensors and header, whole or not at all."""
    with whole_file(Path(path)) as scratch:
        save_file(dict(state), scratch, metadata=dict(header))


def load_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read (state, metadata) from a safetensors file; raises ValueError if it is not one."""
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def load_network(path: str | os.PathLike[str]) -> nn.Module:
    """Build the network that a file of `save_weights` describes and load its weights.

    Raises ValueError naming the header field or the entries that do not fit.
    """
    state, metadata = load_weights(path)
    missing = [name for name in ("variant", "scale", "size") if name not in metadata]
    if missing:
        raise ValueError(
            f"{path}: no {', '.join(missing)} in its header; it was not written by save_weights "
            "from a whole network"
        )
    network = build(
        metadata["variant"],
        scale=int(metadata["scale"]),
        size=int(metadata["size"]),
        width=float(metadata.get("width", "1")),
        frame_step=int(metadata.get("frame_step", "1")),
    )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: weights do not fit {metadata['variant']}: {error}") from error
    return network.eval()


@torch.no_grad()
def start_from(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Copy the entries whose name and shape agree into `module`; returns their names, sorted.

    This is how a longer window starts from a shorter one, or a network's predictor from pretraining
    (`start_from(network.predictor, state)`).
    """
    own = module.state_dict()
    shared = sorted(
        name for name, value in state.items() if name in own and own[name].shape == value.shape
    )
    for name in shared:
        own[name].copy_(state[name])
    return shared


@torch.no_grad()
def grow_from(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """`start_from` for a longer window, which then first restores what the shorter one restores.

    R's first layer is too wide to be copied: its filters for the central frames are taken over, and
    those for the new frames begin at zero. Returns the names of the entries taken, sorted.
    """
    taken = start_from(network, state)
    first = network.state_dict().get(FIRST_LAYER)
    shorter = state.get(FIRST_LAYER)
    if first is None or shorter is None or FIRST_LAYER in taken:
        return taken
    new = first.shape[1] - shorter.shape[1]
    if new < 0 or new % 2 or first.shape[0] != shorter.shape[0]:
        return taken
    first.zero_()
    first[:, new // 2 : first.shape[1] - new // 2] = shorter
    return sorted([*taken, FIRST_LAYER])
