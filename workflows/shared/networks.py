"""The networks that a run holds, loaded for inference."""

from collections.abc import Iterable

from torch import nn

from infra import storage
from infra.errors import RunError
from infra.runs import Run
from infra.settings.data import ClipSettings
from infra.text import sha256_of
from model.layers.bicubic import Bicubic
from model.layers.warp_predictor import WarpPredictor
from model.network import Network
from model.perceptual import FaceRecogniser, load_vgg_face
from model.variants import widest
from model.weights import load_network, load_weights
from workflows.shared.artifacts import LINEAR, WEIGHTS, trained_variants


def load_recogniser(run: Run) -> FaceRecogniser:
    """The run's recogniser, frozen."""
    with storage.local_file(run.path("recogniser", WEIGHTS)) as path:
        network = load_vgg_face(path)
    return network.eval().requires_grad_(False)


def load_predictor(run: Run, low_size: int) -> WarpPredictor:
    """The predictor that the stage pretrain of a run left, for inference."""
    predictor = WarpPredictor(low_size)
    with storage.local_file(run.path("pretrain", WEIGHTS)) as path:
        predictor.load_state_dict(load_weights(path)[0])
    return predictor.eval().requires_grad_(False)


def load_frozen(uri: str) -> nn.Module:
    """A network of ours from its weights, for inference."""
    return load_known(uri)[0]


def load_known(uri: str) -> tuple[nn.Module, str]:
    """A network of ours from its weights, for inference, and their SHA-256."""
    with storage.local_file(uri) as path:
        network = load_network(path).eval().requires_grad_(False)
        return network, sha256_of(path.read_bytes())


def linear_restoration(uri: str) -> Network:
    """A fitted linear restoration; raises RunError where there is none."""
    if not storage.exists(uri):
        raise RunError(f"{uri}: no linear restoration; train this variant again with --force train")
    network = load_frozen(uri)
    assert isinstance(network, Network)
    return network


def load_methods(run: Run, names: Iterable[str], clip: ClipSettings) -> dict[str, nn.Module]:
    """Trained networks of a run by name, for inference; `bicubic` and `linear` too, the latter the
    linear restoration of the longest window."""
    found: dict[str, nn.Module] = {}
    for variant in names:
        if variant == "bicubic":
            found[variant] = Bicubic(clip.scale, clip.size)
        elif variant == "linear":
            longest = widest(trained_variants(run))
            uri = run.path("train", longest, LINEAR)
            found[variant] = linear_restoration(uri)
        else:
            found[variant] = load_frozen(run.path("train", variant, WEIGHTS))
    return found
