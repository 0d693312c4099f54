"""The networks that a run holds, loaded for inference."""

from torch import nn

from infra import storage
from infra.errors import RunError
from infra.runs import Run
from model.layers.warp_predictor import WarpPredictor
from model.network import Network
from model.perceptual import FaceRecogniser, load_vgg_face
from model.weights import load_network, load_weights
from workflows.shared.artifacts import WEIGHTS


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
    with storage.local_file(uri) as path:
        return load_network(path).eval().requires_grad_(False)


def linear_restoration(uri: str) -> Network:
    """A fitted linear restoration; raises RunError where there is none."""
    if not storage.exists(uri):
        raise RunError(f"{uri}: no linear restoration; train this variant again with --force train")
    network = load_frozen(uri)
    assert isinstance(network, Network)
    return network
