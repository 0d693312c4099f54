"""What a run holds, and the names of its files: shards, trained networks, what a search found."""

from typing import Any

from torch import nn

from datasets.shards.files import open_shard
from infra import storage
from infra.errors import RunError
from infra.runs import Run
from model.layers.warp_predictor import WarpPredictor
from model.perceptual import FaceRecogniser, load_vgg_face
from model.weights import load_network, load_weights

WEIGHTS = "weights.safetensors"  # of the recogniser, of P, and of each variant, in its own folder
HISTORY = "history.json"  # beside them: the scalars of a training
BEST, TRIALS = "best.json", "trials.json"  # of a search
METRICS = "metrics.json"  # of the report


def shards(run: Run, split: str, needed: bool = True) -> list[str]:
    """URIs of a split's shards; raises RunError where there is none and it is needed."""
    run.record("clips")
    found = storage.files(run.path("clips", split), ".parquet")
    if not found and needed and split == "train":
        raise RunError(
            f"{run.path('clips')}: no clip in the {split} split; add videos of more people, "
            "or change preprocess.*_share or seed"
        )
    return found


def rows(paths: list[str]) -> int:
    """Number of clips in the shards, from their footers."""
    total = 0
    for uri in paths:
        with open_shard(uri) as file:
            total += file.metadata.num_rows
    return total


def trained_variants(run: Run) -> list[str]:
    """The variants that a run has trained, in the order of its tables."""
    return [str(variant) for variant in run.record("train").settings["variants"]]


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


def found_best(run: Run) -> dict[str, Any]:
    """What the run's search chose; raises RunError where it has not ended."""
    run.record("tune")
    return dict(storage.read_json(run.path("tune", BEST)))
